//! `hotshelf doctor`.

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use hotshelf_testkit::{Middlebox, RedisCluster, RedisSentinels, RedisServer};
use serde_json::Value;

use crate::program::{json, run, run_with};

/// Returns the checks with a status.
fn with_status<'a>(diagnosis: &'a Value, status: &str) -> Vec<&'a str> {
    let findings = diagnosis["findings"].as_array().unwrap().iter();
    findings.filter(|it| it["status"] == status).map(|it| it["check"].as_str().unwrap()).collect()
}

#[test]
fn healthy_server_has_no_faults() {
    let server =
        RedisServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"])
            .unwrap();
    let diagnosis = json(&server, &["doctor"]);
    assert_eq!(
        (&diagnosis["faults"], &diagnosis["warnings"]),
        (&0.into(), &0.into()),
        "{diagnosis}"
    );
    let checks = with_status(&diagnosis, "ok");
    for check in [
        "url",
        "connection",
        "latency",
        "slow_log",
        "clock",
        "version",
        "topology",
        "persistence",
        "memory",
        "evictions",
        "user",
        "commands",
        "scripts",
        "tracking",
        "password",
        "timeout",
        "tcp_keepalive",
        "output_buffers",
    ] {
        assert!(checks.contains(&check), "{check}: {diagnosis}");
    }
    assert_eq!(server.cli(&["DBSIZE"]), "0", "nothing is left behind");
}

#[test]
fn faults_have_cures() {
    let server =
        RedisServer::start_with(&["--maxmemory", "50mb", "--maxmemory-policy", "noeviction"])
            .unwrap();
    let user = "ACL SETUSER app on >pw ~* +@all -@scripting -client +client|setname +client|id";
    assert_eq!(server.cli(&user.split(' ').collect::<Vec<_>>()), "OK");
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port());
    let run = run_with(&[], &["doctor", "--json", "--url", &url]);
    assert_eq!(run.code, 1, "{run:?}");
    let diagnosis = run.json();
    assert_eq!(with_status(&diagnosis, "fault"), ["memory", "scripts", "tracking"], "{diagnosis}");
    // Each cure is a command that works.
    for finding in diagnosis["findings"].as_array().unwrap() {
        if finding["status"] == "fault" {
            let cure = finding["cure"].as_str().unwrap();
            let ran = Command::new("sh").args(["-c", cure]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&ran.stdout).trim(), "OK", "{cure}: {ran:?}");
            assert!(ran.stderr.is_empty(), "{cure}: {ran:?}");
        }
    }
    assert_eq!(run_with(&[], &["doctor", "--url", &url]).code, 0);
    let granted = server.cli(&["ACL", "LIST"]);
    assert!(granted.contains("+client|tracking") && !granted.contains("+client\n"), "{granted}");
}

#[test]
fn cures_are_printed_as_they_are() {
    let server = RedisServer::start().unwrap();
    assert_eq!(server.cli(&["ACL", "SETUSER", "it's", "on", ">pw", "~*", "+@all", "-get"]), "OK");
    let url = format!("redis://it's:pw@127.0.0.1:{}", server.port());
    let shown = run_with(&[], &["doctor", "--url", &url]).output;
    assert!(shown.contains(r"ACL SETUSER 'it'\''s' +get "), "{shown}");
}

/// Diagnoses the rights of a user who may do everything but what the rules deny.
fn diagnosis_without(rules: &[&str], options: &str) -> Value {
    let server =
        RedisServer::start_with(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"])
            .unwrap();
    let user = [&["ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all"], rules].concat();
    assert_eq!(server.cli(&user), "OK");
    let url = format!("redis://app:pw@127.0.0.1:{}{options}", server.port());
    run_with(&[], &["doctor", "--json", "--url", &url]).json()
}

#[test]
fn denied_commands_of_scripts_are_faults() {
    for denied in ["del", "getrange", "strlen", "setrange", "pexpire", "pttl", "get", "set"] {
        // With and without ACL DRYRUN.
        for rules in [&[&*format!("-{denied}")][..], &[&format!("-{denied}"), "-acl"]] {
            let diagnosis = diagnosis_without(rules, "");
            let findings = diagnosis["findings"].as_array().unwrap();
            let fault = findings.iter().find(|it| it["status"] == "fault").unwrap();
            assert_eq!(fault["check"], "commands", "{diagnosis}");
            let cure = fault["cure"].as_str().unwrap();
            assert!(cure.contains(&format!("ACL SETUSER app +{denied} ")), "{cure}");
        }
    }
}

#[test]
fn denied_tracking_names_the_command() {
    for (rule, name) in [("caching", "CLIENT CACHING"), ("tracking", "CLIENT TRACKING")] {
        for rules in [&[&*format!("-client|{rule}")][..], &[&format!("-client|{rule}"), "-acl"]] {
            let diagnosis = diagnosis_without(rules, "");
            let findings = diagnosis["findings"].as_array().unwrap();
            let fault = findings.iter().find(|it| it["status"] == "fault").unwrap();
            assert_eq!(fault["check"], "tracking", "{diagnosis}");
            assert_eq!(fault["what"], format!("the ACL denies {name}"), "{rules:?}");
        }
    }
}

/// The cache does without these.
#[test]
fn optional_commands_are_warnings() {
    for denied in ["exists", "rename"] {
        let diagnosis = diagnosis_without(&[&format!("-{denied}")], "");
        assert_eq!(with_status(&diagnosis, "fault"), [""; 0], "{diagnosis}");
        assert_eq!(with_status(&diagnosis, "warning"), ["commands"], "{diagnosis}");
    }
    for rules in [&[][..], &["-acl"]] {
        let diagnosis = diagnosis_without(rules, "?protocol=2");
        assert_eq!(with_status(&diagnosis, "fault"), [""; 0], "{diagnosis}");
        let findings = diagnosis["findings"].as_array().unwrap();
        let tracking = findings.iter().find(|it| it["check"] == "tracking").unwrap();
        assert_eq!(tracking["cure"], "remove `protocol=2` from the URL", "{diagnosis}");
    }
}

/// The user of the URL, where the server doesn't tell; and the keys of others aren't checked.
#[test]
fn cures_name_the_user_and_claim_nothing_unchecked() {
    let server = RedisServer::start_with(&["--rename-command", "UNLINK", ""]).unwrap();
    let user = "ACL SETUSER app on >pw ~shop:* +@all -@scripting -acl|whoami -scan";
    assert_eq!(server.cli(&user.split(' ').collect::<Vec<_>>()), "OK");
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port());
    let diagnosis = run_with(&[], &["doctor", "--json", "--url", &url]).json();
    let findings = diagnosis["findings"].as_array().unwrap();
    let finding = |check: &str| findings.iter().find(|it| it["check"] == check);
    let cure = finding("scripts").unwrap()["cure"].as_str().unwrap();
    assert!(cure.ends_with("ACL SETUSER app +eval +evalsha"), "{cure}");
    assert!(finding("commands").is_none(), "{diagnosis}");
    let diagnosis = run_with(&[], &["doctor", "--json", "--prefix", "shop", "--url", &url]).json();
    let findings = diagnosis["findings"].as_array().unwrap();
    let unlink = findings.iter().find(|it| it["check"] == "unlink").unwrap();
    assert!(unlink["cure"].as_str().unwrap().contains("rename-command UNLINK"), "{unlink}");
}

#[test]
fn renamed_commands_are_faults() {
    let server = RedisServer::start_with(&[
        "--rename-command",
        "EVAL",
        "",
        "--rename-command",
        "MGET",
        "xx",
    ])
    .unwrap();
    let run = run(&server, &["doctor", "--json"]);
    assert_eq!(run.code, 1);
    assert_eq!(with_status(&run.json(), "fault"), ["commands", "scripts"], "{run:?}");
}

/// A command that the server doesn't know isn't one that the ACL denies.
#[test]
fn unknown_commands_are_not_denied() {
    let names = ["INFO", "CONFIG", "CLIENT"];
    let renamed = names.map(|name| ["--rename-command", name, ""]);
    let server = RedisServer::start_with(&renamed.concat()).unwrap();
    let run = run(&server, &["doctor", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let diagnosis = run.json();
    assert_eq!(with_status(&diagnosis, "warning"), ["version", "tracking", "settings"]);
    let findings = diagnosis["findings"].as_array().unwrap();
    for (name, check) in names.iter().zip(["version", "settings", "tracking"]) {
        let finding = findings.iter().find(|it| it["check"] == check).unwrap();
        let (what, cure) = (finding["what"].as_str().unwrap(), finding["cure"].as_str().unwrap());
        assert!(what.starts_with(&format!("the server doesn't know {name}")), "{finding}");
        assert!(cure.contains(&format!("rename-command {name}")), "{finding}");
    }
}

#[test]
fn sentinel_is_one_fault() {
    let sentinels = RedisSentinels::start().unwrap();
    let run = run(&sentinels.sentinels()[0], &["doctor", "--json"]);
    assert_eq!((run.code, with_status(&run.json(), "fault")), (1, vec!["topology"]), "{run:?}");
    assert_eq!(with_status(&run.json(), "warning"), [""; 0], "{run:?}");
}

/// twemproxy closes the connection at a command that it doesn't know.
#[test]
fn lost_connections_are_a_fault() {
    let server = RedisServer::start().unwrap();
    let proxy = Middlebox::twemproxy(&server).unwrap();
    let run = run_with(&[], &["doctor", "--json", "--url", &proxy.url()]);
    assert_eq!(run.code, 1, "{run:?}");
    let diagnosis = run.json();
    let fault = &diagnosis["findings"][1];
    assert_eq!((&fault["check"], &fault["status"]), (&"connection".into(), &"fault".into()));
    let what = fault["what"].as_str().unwrap();
    assert!(what.starts_with("no reply to INFO, ") && what.contains("CONFIG GET"), "{what}");
    assert!(with_status(&diagnosis, "ok").contains(&"scripts"), "{diagnosis}");
}

#[test]
fn rejected_connections_are_dated() {
    let server = RedisServer::start_with(&["--maxclients", "1"]).unwrap();
    let mut held = Vec::new();
    loop {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply);
        if reply.contains("max number of clients") {
            break;
        }
        held.push(stream);
    }
    drop(held);
    while server.cli(&["CONFIG", "SET", "maxclients", "10"]) != "OK" {}
    let diagnosis = json(&server, &["doctor"]);
    let findings = diagnosis["findings"].as_array().unwrap();
    let clients = findings.iter().find(|it| it["check"] == "clients").unwrap();
    let what = clients["what"].as_str().unwrap();
    assert!(what.contains("rejected since the server started, "), "{clients}");
    assert_eq!(clients["status"], "warning");
    // `CONFIG SET maxclients` fails beyond the limit of open files.
    let cure = clients["cure"].as_str().unwrap();
    let ran = Command::new("sh").args(["-c", cure]).output().unwrap();
    assert!(String::from_utf8_lossy(&ran.stdout).contains("connected_clients:"), "{ran:?}");
}

#[test]
fn low_output_buffer_is_named() {
    let limit = ["--client-output-buffer-limit", "normal 4096 0 0"];
    let server = RedisServer::start_with(&limit).unwrap();
    let run = run(&server, &["doctor", "--json"]);
    assert!(with_status(&run.json(), "warning").contains(&"output_buffers"), "{run:?}");
}

/// `CONFIG SET` runs on each node.
#[test]
fn limit_of_memory_is_that_of_one_node() {
    let cluster = RedisCluster::start().unwrap();
    let diagnosis = run_with(&[], &["doctor", "--json", "--url", &cluster.url()]).json();
    let info = cluster.node(0).cli(&["INFO", "memory"]);
    let total = info.lines().find_map(|line| line.strip_prefix("total_system_memory:")).unwrap();
    let half = total.trim().parse::<u64>().unwrap() >> 21;
    let findings = diagnosis["findings"].as_array().unwrap();
    let memory = findings.iter().find(|it| it["check"] == "memory").unwrap();
    let cure = memory["cure"].as_str().unwrap();
    assert!(cure.contains("--cluster call"), "{cure}");
    assert!(cure.contains(&format!(" CONFIG SET maxmemory {half}mb ")), "{cure}");
}

#[test]
fn dead_node_is_a_fault() {
    let mut cluster = RedisCluster::start_sized(3, 0, &[]).unwrap();
    let url = cluster.url();
    cluster.kill(2);
    let run = run_with(&[], &["doctor", "--json", "--url", &url]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(with_status(&run.json(), "fault").contains(&"connection"), "{run:?}");
    assert!(with_status(&run.json(), "ok").contains(&"latency"), "{run:?}");
}

#[test]
fn minimal_user_of_the_security_page_has_no_faults() {
    let server =
        RedisServer::start_with(&["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"])
            .unwrap();
    let user = "ACL SETUSER app on >pw resetkeys ~app:* ~hs:l:{app:* ~hs:l:{*}:app:* ~hs:t:app:* -@all +@read +@write +@scripting -@dangerous -script|flush -script|kill -function +hello +auth +select +ping +time +info +client|setname +client|id +client|tracking +client|caching";
    assert_eq!(server.cli(&user.split(' ').collect::<Vec<_>>()), "OK");
    let url = format!("redis://app:pw@127.0.0.1:{}", server.port());
    let run = run_with(&[], &["doctor", "--json", "--prefix", "app", "--url", &url]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(with_status(&run.json(), "warning"), ["settings"], "{run:?}");
    let run = run_with(&[], &["doctor", "--json", "--url", &url]);
    assert_eq!(with_status(&run.json(), "warning"), ["keys", "settings"], "{run:?}");
}

#[test]
fn settings_of_connections_are_checked() {
    let server = RedisServer::start_with(&[
        "--timeout",
        "10",
        "--tcp-keepalive",
        "0",
        "--client-output-buffer-limit",
        "pubsub 1000 0 0",
    ])
    .unwrap();
    let diagnosis = json(&server, &["doctor"]);
    let warnings = with_status(&diagnosis, "warning");
    assert_eq!(warnings, ["memory", "timeout", "tcp_keepalive", "output_buffers"], "{diagnosis}");
}

#[test]
fn node_of_a_cluster_is_a_fault() {
    let cluster = RedisCluster::start_sized(3, 0, &[]).unwrap();
    let run = run(cluster.node(0), &["doctor", "--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(with_status(&run.json(), "fault").contains(&"topology"), "{run:?}");
}

#[test]
fn unreachable_server_is_a_finding() {
    let mut server = RedisServer::start().unwrap();
    server.kill();
    let run = run(&server, &["doctor", "--json"]);
    assert_eq!((run.code, with_status(&run.json(), "fault")), (3, vec!["connection"]));
}
