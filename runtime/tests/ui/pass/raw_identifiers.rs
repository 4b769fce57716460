//! Names that are words of the language.

use service_only::{Caller, Denial, service_only, routes::endpoints};

mod r#mod {
    #[::service_only::service_only]
    pub async fn r#type(r#in: String) -> String {
        r#in
    }
}

#[service_only]
fn r#match(r#mut: &Caller) -> Result<(), Denial> {
    let _ = r#mut;
    Ok(())
}

#[allow(non_camel_case_types)]
struct r#struct;

#[service_only]
impl r#struct {
    fn r#fn(&self, r#ref: &Caller) -> Result<(), Denial> {
        let _ = r#ref;
        Ok(())
    }
}

fn main() {
    let _ = (r#mod::r#type, r#match as fn(&Caller) -> _, r#struct);
    let names: Vec<_> = endpoints().iter().map(|guarded| guarded.endpoint().function()).collect();
    assert_eq!(names, ["match", "struct::fn", "type"]);
}
