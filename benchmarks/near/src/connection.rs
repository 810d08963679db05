//! Connections to a server without a client library: RESP3, with pipelines.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

pub(crate) struct Connection(BufReader<TcpStream>);

/// What was read from a connection.
enum Message {
    Reply(String),
    /// A message with this number of invalidated keys.
    Invalidated(usize),
}

impl Connection {
    pub(crate) fn open(port: u16) -> Result<Self, Box<dyn Error>> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        let mut connection = Self(BufReader::new(stream));
        connection.call(&["HELLO 3".to_owned()])?;
        Ok(connection)
    }

    /// Sends commands, given as words, at once, and reads their replies; returns the last one.
    pub(crate) fn call(&mut self, commands: &[String]) -> Result<String, Box<dyn Error>> {
        let sent: String = commands.iter().map(|command| encoded(command)).collect();
        self.0.get_mut().write_all(sent.as_bytes())?;
        let mut last = String::new();
        let mut replies = 0;
        while replies < commands.len() {
            if let Message::Reply(reply) = self.read()? {
                if reply.starts_with('-') {
                    return Err(reply.into());
                }
                replies += 1;
                last = reply;
            }
        }
        Ok(last)
    }

    /// Waits until this number of keys has been reported as invalidated.
    pub(crate) fn await_invalidated(&mut self, keys: usize) -> Result<(), Box<dyn Error>> {
        let mut reported = 0;
        while reported < keys {
            if let Message::Invalidated(keys) = self.read()? {
                reported += keys;
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Message, Box<dyn Error>> {
        let line = self.line()?;
        if !line.starts_with('>') {
            return Ok(Message::Reply(self.rest_of(line)?));
        }
        // `invalidate`, and an array of keys.
        let kind = self.line()?;
        self.rest_of(kind)?;
        let keys = self.line()?;
        let number = length(&keys)?;
        self.rest_of(keys)?;
        Ok(Message::Invalidated(number))
    }

    /// Reads what belongs to a line, and returns the text of a string.
    fn rest_of(&mut self, line: String) -> Result<String, Box<dyn Error>> {
        let items = match line.as_bytes()[0] {
            b'$' | b'=' => {
                let mut text = vec![0; length(&line)? + 2];
                self.0.read_exact(&mut text)?;
                return Ok(String::from_utf8(text)?);
            }
            b'*' | b'~' => length(&line)?,
            b'%' => 2 * length(&line)?,
            _ => 0,
        };
        for _ in 0..items {
            let line = self.line()?;
            self.rest_of(line)?;
        }
        Ok(line)
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(line.trim_end().to_owned())
    }
}

fn encoded(command: &str) -> String {
    let words = command.split(' ').map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", command.split(' ').count(), words.collect::<String>())
}

fn length(line: &str) -> Result<usize, Box<dyn Error>> {
    Ok(line[1..].parse()?)
}

/// The CPU time of a server.
pub(crate) struct ServerCpu(Connection);

impl ServerCpu {
    pub(crate) fn of(port: u16) -> Result<Self, Box<dyn Error>> {
        Ok(Self(Connection::open(port)?))
    }

    /// Returns the time since the start of the server in microseconds.
    pub(crate) fn micros(&mut self) -> Result<f64, Box<dyn Error>> {
        let text = self.0.call(&["INFO cpu".to_owned()])?;
        let of = |name: &str| -> Result<f64, Box<dyn Error>> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            Ok(line.ok_or("no CPU time in the server's information")?.parse()?)
        };
        Ok((of("used_cpu_user:")? + of("used_cpu_sys:")?) * 1e6)
    }
}
