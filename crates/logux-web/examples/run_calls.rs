//! Runs calls of clients, one for each line of the standard input, and prints their turns: what the
//! tests of the package compare with the WebAssembly module.
//!
//! `{"start":{"node":"10:phone:tab"}}` starts the next client,
//! `{"client":0,"wall":1700000000000,"mono":0,"call":"resume"}` calls one.

use std::{
    error::Error,
    io::{self, BufRead, Write},
};

use logux::Now;
use logux_web::{Start, WebClient};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    let mut clients = Vec::new();
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        if let Some(start) = line.get("start") {
            clients.push(WebClient::start(Start::read(&start.to_string())?)?);
            continue;
        }
        let number = |name: &str| line.get(name).and_then(Value::as_i64).unwrap_or_default();
        let index = usize::try_from(number("client"))?;
        let client: &mut WebClient = clients.get_mut(index).ok_or("there is no such client")?;
        let now = Now::from_millis(number("wall"), u64::try_from(number("mono"))?);
        let call = line.get("call").ok_or("a line has a call")?.to_string();
        writeln!(output, "{}", serde_json::to_string(&client.call(now, &call))?)?;
    }
    Ok(())
}
