//! `guarding/attribute.md`: functions and blocks that are not handlers.

use service_only::{Caller, Denial, service_only};

#[derive(Debug)]
enum JobError {
    Refused(Denial),
}

impl From<Denial> for JobError {
    fn from(denial: Denial) -> Self {
        Self::Refused(denial)
    }
}

#[service_only(services("scheduler"), max_age = "1h")]
fn delete_expired(tenant: &str, caller: &Caller) -> Result<String, JobError> {
    Ok(format!("{tenant} deleted for {}", caller.service()))
}

struct Jobs;

#[service_only(services("scheduler"))]
impl Jobs {
    fn run(&self, tenant: &str, caller: &Caller) -> Result<String, Denial> {
        Ok(format!("{tenant} done for {}", caller.service()))
    }

    #[service_only(services("scheduler"), roles("admin"))]
    fn purge(&self, _caller: &Caller) -> Result<(), Denial> {
        Ok(())
    }

    #[public(reason = "a constructor")]
    fn new() -> Self {
        Self
    }
}

#[cfg(test)]
mod tests {
    use service_only_testkit::TestAuthority;

    use super::*;

    #[test]
    fn function_refuses_a_caller_that_its_policy_does_not_allow() {
        let authority = TestAuthority::new();
        assert!(delete_expired("7", &authority.service("scheduler").caller()).is_ok());
        let JobError::Refused(denial) =
            delete_expired("7", &authority.service("orders").caller()).unwrap_err();
        assert_eq!(denial.code().as_str(), "service_not_allowed");
    }

    #[test]
    fn policy_of_a_method_replaces_the_policy_of_the_block() {
        let authority = TestAuthority::new();
        let operator = authority.service("scheduler").role("operator").caller();
        assert!(Jobs::new().run("7", &operator).is_ok());
        assert_eq!(Jobs::new().purge(&operator).unwrap_err().code().as_str(), "role_not_allowed");
    }
}
