//! The compared clients, each with its documented way to share a connection.

use std::error::Error;

use fred::interfaces::{ClientLike, KeysInterface};
use hotshelf::{RedisClient, Store};
use rustis::commands::StringCommands;
use rustis::resp::BulkString;

use crate::load::{Key, Reader};

#[derive(Clone)]
pub(crate) struct Hotshelf {
    client: RedisClient,
    /// Closes the connection when it is dropped.
    _store: Store,
}

impl Reader for Hotshelf {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        let store = Store::connect(&format!("redis://127.0.0.1:{port}")).await?;
        let client = store.redis().ok_or("the store is not on Redis")?.clone();
        Ok(Self { client, _store: store })
    }

    async fn get(&self, key: &Key) -> usize {
        let value = self.client.get(key).await.unwrap_or_default();
        value.map_or(0, |value| value.len())
    }
}

/// The redis crate, configured to send immediately and to queue as many commands as there are
/// callers.
#[derive(Clone)]
pub(crate) struct Redis(pub(crate) redis::aio::MultiplexedConnection);

impl Reader for Redis {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        use redis::IntoConnectionInfo;

        let tcp = redis::io::tcp::TcpSettings::default().set_nodelay(true);
        let info = format!("redis://127.0.0.1:{port}/?protocol=resp3").into_connection_info()?;
        let client = redis::Client::open(info.set_tcp_settings(tcp))?;
        let config = redis::AsyncConnectionConfig::new().set_pipeline_buffer_size(2048);
        Ok(Self(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    async fn get(&self, key: &Key) -> usize {
        use redis::AsyncCommands;

        let value: Option<Vec<u8>> = self.0.clone().get(key).await.unwrap_or_default();
        value.map_or(0, |value| value.len())
    }
}

/// Its next version, configured likewise.
#[derive(Clone)]
pub(crate) struct Redis2(redis2::aio::MultiplexedConnection);

impl Reader for Redis2 {
    async fn connect(port: u16) -> Result<Self, Box<dyn Error>> {
        use redis2::IntoConnectionInfo;

        let tcp = redis2::io::tcp::TcpSettings::default().set_nodelay(true);
        let info = format!("redis://127.0.0.1:{port}/?protocol=resp3").into_connection_info()?;
        let client = redis2::Client::open(info.set_tcp_settings(tcp))?;
        let config = redis2::AsyncConnectionConfig::new().set_pipeline_buffer_size(2048);
        Ok(Self(client.get_multiplexed_async_connection_with_config(&config).await?))
    }

    async fn get(&self, key: &Key) -> usize {
        use redis2::AsyncCommands;

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

    async fn get(&self, key: &Key) -> usize {
        let value: rustis::Result<BulkString> = self.0.get(key.as_str()).await;
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

    async fn get(&self, key: &Key) -> usize {
        let value: Option<bytes::Bytes> = self.0.get(key.as_str()).await.unwrap_or_default();
        value.map_or(0, |value| value.len())
    }
}
