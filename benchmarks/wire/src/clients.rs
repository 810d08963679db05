//! The clients that are compared, each by its own documented way to share a connection.

use std::error::Error;
use std::future::Future;

use fred::interfaces::{ClientLike, KeysInterface};
use hotshelf::{RedisClient, Store};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use rustis::commands::StringCommands;
use rustis::resp::BulkString;

/// A client that reads values.
pub(crate) trait Reader: Clone + Send + Sync + Sized + 'static {
    fn connect(port: u16) -> impl Future<Output = Result<Self, Box<dyn Error>>>;

    /// Reads a value and gives its length.
    fn get(&self, key: &str) -> impl Future<Output = usize> + Send;
}

#[derive(Clone)]
pub(crate) struct Hotshelf {
    client: RedisClient,
    /// Closes the connection when it is dropped.
    _store: Store,
}

impl Reader for Hotshelf {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        let store = Store::connect(&format!("redis://127.0.0.1:{port}")).await?;
        let client = store.redis().ok_or("it is a store on Redis")?.clone();
        Ok(Self { client, _store: store })
    }

    async fn get(&self, key: &str) -> usize {
        let reply = self.client.command(&["GET", key]).await.and_then(hotshelf::Reply::bytes);
        reply.ok().flatten().map_or(0, |value| value.len())
    }
}

#[derive(Clone)]
pub(crate) struct Redis(MultiplexedConnection);

impl Reader for Redis {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        use redis::IntoConnectionInfo;

        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let info = format!("redis://127.0.0.1:{port}/?protocol=resp3").into_connection_info()?;
        let client = redis::Client::open(info.set_tcp_settings(tcp))?;
        let config = redis::AsyncConnectionConfig::new().set_pipeline_buffer_size(2048);
        Ok(Self(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    async fn get(&self, key: &str) -> usize {
        let value: Option<Vec<u8>> = self.0.clone().get(key).await.unwrap_or_default();
        value.map_or(0, |value| value.len())
    }
}

#[derive(Clone)]
pub(crate) struct Rustis(rustis::client::Client);

impl Reader for Rustis {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        Ok(Self(rustis::client::Client::connect(format!("127.0.0.1:{port}")).await?))
    }

    async fn get(&self, key: &str) -> usize {
        let value: rustis::Result<BulkString> = self.0.get(key).await;
        value.map_or(0, |value| value.as_bytes().len())
    }
}

#[derive(Clone)]
pub(crate) struct Fred(fred::clients::Client);

impl Reader for Fred {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        let config = fred::types::config::Config::from_url(&format!("redis://127.0.0.1:{port}"))?;
        let client = fred::clients::Client::new(config, None, None, None);
        client.init().await?;
        Ok(Self(client))
    }

    async fn get(&self, key: &str) -> usize {
        let value: Option<bytes::Bytes> = self.0.get(key).await.unwrap_or_default();
        value.map_or(0, |value| value.len())
    }
}
