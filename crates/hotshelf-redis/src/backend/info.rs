//! Reading the reply to `INFO`.

use std::collections::HashMap;
use std::time::Duration;

use hotshelf_core::ServerInfo;

/// Reads the fields of [`ServerInfo`]; missing ones are zero.
pub(super) fn parse(text: &str) -> ServerInfo {
    let fields: HashMap<&str, &str> =
        text.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let number = |name: &str| fields.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
    let version = ["valkey_version", "redis_version"].iter().find_map(|name| fields.get(name));

    let mut info = ServerInfo::default();
    info.version = version.copied().unwrap_or("unknown").to_owned();
    info.uptime = Duration::from_secs(number("uptime_in_seconds"));
    info.connected_clients = number("connected_clients");
    info.used_memory = number("used_memory");
    info.max_memory = number("maxmemory");
    info.total_commands = number("total_commands_processed");
    info.keyspace_hits = number("keyspace_hits");
    info.keyspace_misses = number("keyspace_misses");
    if info.max_memory > 0 && fields.get("maxmemory_policy") == Some(&"noeviction") {
        info.limitations.push(
            "the server evicts nothing (maxmemory-policy noeviction): nothing is stored once its \
             memory is full; set allkeys-lru"
                .to_owned(),
        );
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_fields_are_zero() {
        let info =
            parse("# Server\r\nredis_version:7.0.15\r\nuptime_in_seconds:90\r\nmaxmemory:x\r\n");
        assert_eq!(info.version, "7.0.15");
        assert_eq!(info.uptime, Duration::from_secs(90));
        assert_eq!((info.max_memory, info.keyspace_hits), (0, 0));
        assert!(info.limitations.is_empty());
    }

    #[test]
    fn full_server_without_eviction_is_named() {
        let limitations = |policy| {
            parse(&format!("maxmemory:100\r\nmaxmemory_policy:{policy}\r\n")).limitations.len()
        };
        assert_eq!((limitations("noeviction"), limitations("allkeys-lru")), (1, 0));
    }
}
