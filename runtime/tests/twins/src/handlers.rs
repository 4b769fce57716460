/// In a file that is included.
#[service_only::service_only(services("accounting"))]
pub async fn list() -> &'static str {
    module_path!()
}
