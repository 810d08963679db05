//! A minimal RESP2 client for tests.

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The reply of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Null.
    Nil,
    /// A number.
    Integer(i64),
    /// A status or a string; invalid UTF-8 is replaced.
    Text(String),
    /// An error's text.
    Error(String),
    /// An array of replies.
    Array(Vec<Self>),
}

impl Reply {
    /// Returns the reply as `redis-cli` prints it to a pipe.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Nil => String::new(),
            Self::Integer(number) => number.to_string(),
            Self::Text(text) | Self::Error(text) => text.clone(),
            Self::Array(items) => items.iter().map(Self::to_text).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// Sends one command on a new connection.
pub(crate) fn command<A: AsRef<[u8]>>(
    port: u16,
    password: Option<&str>,
    arguments: &[A],
) -> io::Result<Reply> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(&stream);
    if let Some(password) = password {
        (&stream).write_all(&request(&["AUTH", password]))?;
        let refused = read_reply(&mut reader)?;
        if matches!(refused, Reply::Error(_)) {
            return Ok(refused);
        }
    }
    (&stream).write_all(&request(arguments))?;
    read_reply(&mut reader)
}

fn request<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        let argument = argument.as_ref();
        request.extend(format!("${}\r\n", argument.len()).into_bytes());
        request.extend(argument);
        request.extend(b"\r\n");
    }
    request
}

fn read_reply(reader: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let Some(kind) = line.chars().next() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    let rest = &line[1..];
    match kind {
        '+' => Ok(Reply::Text(rest.to_owned())),
        '-' => Ok(Reply::Error(rest.to_owned())),
        ':' => Ok(Reply::Integer(number(rest)?)),
        '$' => read_bulk(reader, number(rest)?),
        '*' if rest == "-1" => Ok(Reply::Nil),
        '*' => (0..number(rest)?)
            .map(|_| read_reply(reader))
            .collect::<Result<_, _>>()
            .map(Reply::Array),
        _ => Err(io::Error::other(format!("invalid RESP2 reply: {line}"))),
    }
}

fn read_bulk(reader: &mut impl BufRead, length: i64) -> io::Result<Reply> {
    let Ok(length) = usize::try_from(length) else { return Ok(Reply::Nil) };
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes)?;
    Ok(Reply::Text(String::from_utf8_lossy(&bytes[..length]).into_owned()))
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(io::Error::other)
}
