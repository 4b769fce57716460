// Serves over mutual TLS, and answers with the names of the client. It offers sessions, as Go does by default.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
)

func main() {
	chain, key, roots, address := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	pem, err := os.ReadFile(roots)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	handler := http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		leaf := request.TLS.PeerCertificates[0]
		fmt.Fprintln(response, request.TLS.DidResume, leaf.URIs[0])
	})
	server := &http.Server{
		Addr:      address,
		Handler:   handler,
		TLSConfig: &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool},
	}
	panic(server.ListenAndServeTLS(chain, key))
}
