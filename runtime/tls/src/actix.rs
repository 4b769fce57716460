//! The certificate of the client of a connection of actix.

use std::any::Any;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{dev::Extensions, rt::net::TcpStream};

use crate::tls::Tls;

impl Tls {
    /// Returns a function for `HttpServer::on_connect` of actix-web. The function stores the certificate of the client
    /// in the data of the connection, where `#[service_only]` finds it. Pass a clone of
    /// [`server_config`](Tls::server_config) to `bind_rustls_0_23`.
    ///
    /// ```no_run
    /// use actix_web::{App, HttpServer};
    ///
    /// # fn serve(tls: service_only_tls::Tls) -> std::io::Result<()> {
    /// let config = (*tls.server_config()).clone();
    /// let server = HttpServer::new(App::new)
    ///     .on_connect(tls.on_connect())
    ///     .bind_rustls_0_23("0.0.0.0:8443", config)?
    ///     .run();
    /// # drop(server);
    /// # Ok(()) }
    /// ```
    pub fn on_connect(&self) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + use<> {
        let tls = self.clone();
        move |connection, data| {
            let stream = connection.downcast_ref::<TlsStream<TcpStream>>();
            if let Some(peer) = stream.and_then(|stream| tls.client_certificate(stream.get_ref().1)) {
                data.insert(peer);
            }
        }
    }
}
