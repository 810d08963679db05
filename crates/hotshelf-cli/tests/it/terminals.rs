//! What depends on a terminal: colors, questions and progress.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotshelf_cli::{Outcome, Stream, Terminal, TokioHost, run};
use hotshelf_testkit::RedisServer;

use crate::program::filled;

/// A terminal that a person looks at.
#[derive(Debug, Default)]
struct Screen {
    variables: Vec<(&'static str, &'static str)>,
    answers: Mutex<VecDeque<String>>,
    output: Mutex<String>,
    errors: Mutex<String>,
    /// Whether the output is closed.
    is_closed: bool,
}

impl Terminal for Screen {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        if self.is_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.output.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
        Ok(())
    }

    fn write_error(&self, text: &str) {
        self.errors.lock().unwrap().push_str(text);
    }

    fn read_line(&self) -> io::Result<String> {
        Ok(self.answers.lock().unwrap().pop_front().unwrap_or_default())
    }

    fn is_interactive(&self, _: Stream) -> bool {
        true
    }

    fn variable(&self, name: &str) -> Option<String> {
        let found = self.variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    }

    fn time(&self) -> Duration {
        Duration::ZERO
    }
}

async fn run_on(screen: &Arc<Screen>, server: &RedisServer, arguments: &[&str]) -> u8 {
    let url = server.url();
    let all = ["hotshelf", "--url", &url].into_iter().chain(arguments.iter().copied());
    let all: Vec<OsString> = all.map(OsString::from).collect();
    let terminal = Arc::clone(screen) as Arc<dyn Terminal>;
    match run(all, Arc::new(TokioHost::new()), terminal).await {
        Outcome::Exit(code) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn answers_decide() {
    let server = filled().await;
    for (answer, removed) in [("", 0), ("n\n", 0), ("maybe\n", 0), ("y\n", 1), ("YES\n", 2)] {
        let screen = Arc::new(Screen::default());
        screen.answers.lock().unwrap().push_back(answer.to_owned());
        let key = format!("shop:v1:products:{}", if removed == 2 { "2" } else { "1" });
        let code = run_on(&screen, &server, &["invalidate", "--key", &key]).await;
        assert_eq!(code, u8::from(removed == 0), "{answer:?}");
        let errors = screen.errors.lock().unwrap().clone();
        assert!(
            errors.contains(&format!("  {key}\nInvalidate 1 entry on redis://127.0.0.1")),
            "{errors}"
        );
        assert_eq!(server.cli(&["DBSIZE"]), (4 - removed).to_string());
    }
}

#[tokio::test]
async fn colors_can_be_switched_off() {
    let server = filled().await;
    for (variables, is_colored) in [
        (vec![], true),
        (vec![("NO_COLOR", "")], true),
        (vec![("NO_COLOR", "1")], false),
        (vec![("TERM", "dumb")], false),
    ] {
        for command in ["info", "ls", "doctor", "sizes", "top"] {
            let screen = Screen { variables: variables.clone(), ..Screen::default() };
            let screen = Arc::new(screen);
            run_on(&screen, &server, &[command]).await;
            let output = screen.output.lock().unwrap();
            assert_eq!(output.contains("\x1b["), is_colored, "{command}, {variables:?}");
        }
    }
    let screen = Arc::new(Screen::default());
    run_on(&screen, &server, &["ls", "--json"]).await;
    assert!(!screen.output.lock().unwrap().contains('\x1b'));
}

#[tokio::test]
async fn long_scans_show_progress() {
    let server = RedisServer::start().unwrap();
    let fill = "for i = 1, 80000 do redis.call('SET', 'a:v1:b:' .. i, '') end";
    let _ = server.cli(&["EVAL", fill, "0"]);
    let screen = Arc::new(Screen::default());
    run_on(&screen, &server, &["info"]).await;
    let errors = screen.errors.lock().unwrap().clone();
    assert!(errors.contains("of 80000 keys") && errors.ends_with("\r\x1b[K"), "{errors:?}");
}

#[tokio::test]
async fn closed_output_ends_quietly() {
    let server = filled().await;
    let screen = Arc::new(Screen { is_closed: true, ..Screen::default() });
    assert_eq!(run_on(&screen, &server, &["ls"]).await, 0);
    assert_eq!(run_on(&screen, &server, &["stats", "--watch", "--interval", "0.01"]).await, 0);
    assert_eq!(*screen.errors.lock().unwrap(), "");
}
