//! The two servers, each in its own process.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use product_api::{App, Db};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo};
use tokio::net::TcpListener;

/// The kind of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `GET` by the redis crate, forwarding the bytes.
    Raw,
    /// The product API: a typed hit, decoded and encoded again.
    ProductApi,
    /// The same with a near tier: the value is decoded already.
    NearProductApi,
    /// A handler that always sends the same bytes.
    Constant,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Raw, Self::ProductApi, Self::NearProductApi, Self::Constant];
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw redis crate",
            Self::ProductApi => "product API",
            Self::NearProductApi => "product API, near tier",
            Self::Constant => "constant",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| format!("unknown server {name:?}"))
    }
}

/// A server that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) url: String,
    process: Child,
}

impl Server {
    /// Starts this program as a server.
    pub(crate) fn start(kind: Kind, redis_url: &str) -> std::io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", kind.name(), redis_url])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut address = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut address)?;
        }
        let url = format!("http://{}/products/1", address.trim());
        Ok(Self { kind, url, process })
    }

    /// Returns the CPU time that the server has used, in seconds.
    pub(crate) fn cpu_seconds(&self) -> Result<f64, Box<dyn Error>> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        // User and system time are fields 14 and 15 of proc(5), in hundredths of a second.
        let ticks = fields.skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
        Ok(ticks / 100.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Prints its address, and serves until it is killed.
pub(crate) fn serve(kind: Kind, redis_url: &str) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let router = match kind {
            Kind::Raw => raw(redis_url).await?,
            Kind::ProductApi => {
                let store = hotshelf::Store::connect(redis_url).await?;
                App::new(store, Db::open("sqlite::memory:").await?)?.into_router()
            }
            Kind::NearProductApi => {
                let near = hotshelf::NearOptions::default();
                let store = hotshelf::Store::builder().url(redis_url).near(near).build()?;
                App::new(store, Db::open("sqlite::memory:").await?)?.into_router()
            }
            Kind::Constant => constant(redis_url).await?,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        axum::serve(listener, router).await?;
        Ok(())
    })
}

async fn raw(redis_url: &str) -> Result<Router, redis::RedisError> {
    let tcp = TcpSettings::default().set_nodelay(true);
    let client = Client::open(redis_url.into_connection_info()?.set_tcp_settings(tcp))?;
    let config = AsyncConnectionConfig::new().set_pipeline_buffer_size(1024);
    let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    Ok(Router::new().route("/products/{id}", get(raw_get)).with_state(Arc::new(connection)))
}

/// Answers with what the product API has stored.
async fn constant(redis_url: &str) -> Result<Router, Box<dyn Error>> {
    let mut connection = Client::open(redis_url)?.get_multiplexed_async_connection().await?;
    let key = "api:v1:products:1";
    let json: Vec<u8> = redis::cmd("GET").arg(key).query_async(&mut connection).await?;
    let json = Bytes::from(json.trim_ascii_end().to_vec());
    let answer = async |State(json): State<Bytes>| {
        ([(header::CONTENT_TYPE, "application/json")], json).into_response()
    };
    Ok(Router::new().route("/products/{id}", get(answer)).with_state(json))
}

async fn raw_get(
    State(connection): State<Arc<MultiplexedConnection>>,
    Path(id): Path<String>,
) -> Response {
    let mut connection = MultiplexedConnection::clone(&connection);
    let key = format!("api:v1:products:{id}");
    let found = redis::cmd("GET").arg(key).query_async(&mut connection).await;
    let found: redis::RedisResult<Option<Vec<u8>>> = found;
    match found {
        Ok(Some(json)) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
