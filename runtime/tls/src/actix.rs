//! The certificate of the client of a connection of actix, and the headers that claim one.

use std::any::Any;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{
    Error,
    body::MessageBody,
    dev::{Extensions, ServiceRequest, ServiceResponse},
    middleware::Next,
    rt::net::TcpStream,
};

use crate::{certificate_headers::forwards, tls::Tls};

impl Tls {
    /// Returns a function for `HttpServer::on_connect` of actix-web. The function stores the certificate of the client
    /// in the data of the connection, where `#[service_only]` finds it. Pass a clone of
    /// [`server_config`](Tls::server_config) to `bind_rustls_0_23`. actix calls this function before it reads a request, so
    /// add the middleware [`remove_certificate_headers`](Tls::remove_certificate_headers) too.
    ///
    /// ```no_run
    /// use actix_web::{App, HttpServer, middleware::from_fn};
    /// use service_only_tls::Tls;
    ///
    /// # fn serve(tls: Tls) -> std::io::Result<()> {
    /// let config = (*tls.server_config()).clone();
    /// let server = HttpServer::new(|| App::new().wrap(from_fn(Tls::remove_certificate_headers)))
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
    /// A middleware for `actix_web::middleware::from_fn`. It removes every header that claims a client certificate, in
    /// every spelling, so that no handler reads one. The guards never read these headers. Add it with the last `wrap` of
    /// the `App`: actix calls that middleware first.
    ///
    /// # Errors
    /// Those of the next service.
    pub async fn remove_certificate_headers<B: MessageBody + 'static>(
        mut request: ServiceRequest,
        next: Next<B>,
    ) -> Result<ServiceResponse<B>, Error> {
        request.headers_mut().retain(|name, _| !forwards(name.as_str()));
        next.call(request).await
    }
}
