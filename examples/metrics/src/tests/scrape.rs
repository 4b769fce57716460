//! Tests the endpoint that Prometheus scrapes.

use super::*;

#[tokio::test]
async fn a_scrape_has_decisions_by_handler_service_and_code_in_base_units() {
    let world = World::new();
    world.ask_as_the_shop().await;
    world.stock.post("/restock").bearer(world.authority.service("shop").token()).await;
    let scrape = world.scrape().await;
    let crate_name = module_path!().split("::").next().unwrap();
    for line in [
        format!(
            "service_only_attempts_total{{caller_service=\"shop\",code_function_name=\"{crate_name}::show_stock\",\
             decision=\"allow\"}} 1"
        ),
        format!(
            "service_only_attempts_total{{caller_service=\"shop\",code=\"service_not_allowed\",\
             code_function_name=\"{crate_name}::restock\",decision=\"deny\"}} 1"
        ),
        "service_only_verification_duration_seconds_count{decision=\"allow\"} 1".to_owned(),
        "service_only_token_remaining_life_seconds_count{caller_service=\"shop\"} 2".to_owned(),
        "service_only_audit_dropped_total 0".to_owned(),
        "service_only_revocations 0".to_owned(),
    ] {
        assert!(scrape.lines().any(|own| own == line), "{line} in\n{scrape}");
    }
}

#[tokio::test]
async fn hostile_tokens_make_no_series() {
    let world = World::new();
    world.ask_as_the_shop().await;
    let attack = async |service: &str| {
        for fixture in world.authority.service(service).scope("stock:read").fixtures() {
            world.stock.get("/stock").fixture(&fixture).await;
        }
        world.scrape().await
    };
    attack("shop").await;
    let before = attack("shop").await;
    for number in 0..50 {
        let stranger = TestAuthority::new().service(format!("stranger-{number}"));
        let stranger = stranger.header("kid", format!("key-{number}"));
        world.stock.get(&format!("/stock?{number}")).bearer(stranger.token()).await;
    }
    let after = world.scrape().await;
    assert_eq!(series(&after), series(&before));
}

#[tokio::test]
async fn port_for_prometheus_serves_only_metrics() {
    let world = World::new();
    assert_eq!(world.watched.get("/stock").await.status(), 404);
    assert_eq!(world.stock.get("/metrics").await.status(), 404);
}
