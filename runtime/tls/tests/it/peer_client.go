// Calls a server twice over mutual TLS, and prints what it answers. A session cache is on, so a session that the server
// offers would be resumed.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
)

func check(err error) {
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

func main() {
	chain, key, roots, url := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	own, err := tls.LoadX509KeyPair(chain, key)
	check(err)
	pem, err := os.ReadFile(roots)
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	config := &tls.Config{
		Certificates:       []tls.Certificate{own},
		RootCAs:            pool,
		ClientSessionCache: tls.NewLRUClientSessionCache(8),
	}
	for i := 0; i < 2; i++ {
		// Each call has a connection of its own.
		transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
		client := &http.Client{Transport: transport}
		response, err := client.Get(url)
		check(err)
		text, err := io.ReadAll(response.Body)
		check(err)
		fmt.Println(response.TLS.DidResume, response.TLS.Version == tls.VersionTLS13, string(text))
	}
}
