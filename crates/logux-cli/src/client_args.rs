//! The arguments that `tail` and `send` share.

use clap::Args;
use logux_client::Client;
use logux_net::WebSocketConnector;

use crate::{
    config::flags::{SecretFile, SecretString},
    error::CliError,
};

/// The server to connect to, and the credentials.
#[derive(Args, Clone, Debug)]
pub(crate) struct ClientArgs {
    /// URL of the server, such as ws://127.0.0.1:31337
    #[arg(value_name = "URL")]
    url: String,
    /// User id to log in with
    #[arg(long, value_name = "ID", default_value = "cli")]
    user: String,
    /// Token to log in with [env: LOGUX_TOKEN]
    ///
    /// Other users of this machine can see it in the list of processes: set LOGUX_TOKEN or
    /// --token-file instead. `logux token` prints one.
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<SecretFile>,
    /// Version of the application's protocol
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    subprotocol: u32,
}

impl ClientArgs {
    /// Starts a client that connects to the server.
    pub(crate) fn connect(self) -> Result<Client, CliError> {
        let mut builder = Client::builder(&self.user)?.subprotocol(self.subprotocol);
        let from_file = self.token_file.map(|SecretFile(SecretString(token))| token);
        let token = self.token.or(from_file).or_else(|| std::env::var("LOGUX_TOKEN").ok());
        if let Some(token) = token {
            builder = builder.token(token);
        }
        Ok(builder.start(WebSocketConnector::new(&self.url)?))
    }
}
