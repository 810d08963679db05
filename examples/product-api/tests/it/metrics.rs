//! Metrics, and the dashboard and alerts that read them.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::TestApp;

/// Returns the names of metrics in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|character: char| !(character.is_ascii_lowercase() || character == '_'));
    let is_name = |word: &&str| word.starts_with("cache_") && word.len() > "cache_".len();
    words.filter(is_name).map(str::to_owned).collect()
}

#[tokio::test]
async fn dashboard_and_alerts_read_metrics_that_exist() {
    let app = TestApp::near_redis().await;
    for path in ["/products/1", "/products/1", "/products?page=2", "/products/none"] {
        app.get(path).await;
    }
    let answer = app.get("/metrics").await;
    let scraped = answer.body.as_str().unwrap();
    let samples: Vec<&str> = scraped.lines().filter(|line| !line.starts_with('#')).collect();
    let distinct: BTreeSet<_> = samples.iter().filter_map(|it| it.rsplit_once(' ')).collect();
    let series: BTreeSet<_> = distinct.iter().map(|(series, _)| series).collect();
    assert_eq!(series.len(), samples.len(), "no series is there twice");
    let known = names(scraped);
    let ops = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops");
    for file in ["grafana.json", "alerts.yml"] {
        let used = names(&std::fs::read_to_string(ops.join(file)).unwrap());
        assert!(!used.is_empty());
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} reads {unknown:?}");
    }
    let panels = std::fs::read_to_string(ops.join("grafana.json")).unwrap();
    let shown = names(&panels);
    let forgotten: Vec<_> = known.difference(&shown).collect();
    let parts = ["_sum", "_count", "_seconds"];
    let forgotten: Vec<_> =
        forgotten.into_iter().filter(|name| !parts.iter().any(|it| name.ends_with(it))).collect();
    assert!(forgotten.is_empty(), "the dashboard shows no {forgotten:?}");
}
