//! Two processes ask for one cold key, and one of them loads it:
//! `cargo run -p hotshelf --features redis --example two_processes -- redis://localhost`.
#![expect(clippy::print_stdout, reason = "an example")]

use std::process::Command;
use std::time::Duration;

use hotshelf::Store;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "redis://localhost".into());
    match arguments.next() {
        Some(name) => child(&url, &name).await,
        None => parent(&url).await,
    }
}

async fn parent(url: &str) -> Result<(), Box<dyn std::error::Error>> {
    Store::connect(url).await?.cache::<String>("reports").build()?.invalidate("today").await?;
    let program = std::env::current_exe()?;
    let start = |name| Command::new(&program).args([url, name]).spawn();
    for mut child in [start("first")?, start("second")?] {
        child.wait()?;
    }
    Ok(())
}

async fn child(url: &str, name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let reports = Store::connect(url).await?.cache::<String>("reports").build()?;
    let load = async || {
        println!("{name}: loading, which takes a second");
        sleep(Duration::from_secs(1)).await;
        format!("the report of {name}")
    };
    println!("{name}: got {:?}", reports.get_or_insert_with("today", load).await);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "an example")]
async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}
