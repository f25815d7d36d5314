//! The arguments that `tail` and `send` share.

use clap::Args;
use logux_client::Client;
use logux_net::WebSocketConnector;

use crate::error::CliError;

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
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Version of the application's protocol
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    subprotocol: u32,
}

impl ClientArgs {
    /// Starts a client that connects to the server.
    pub(crate) fn connect(self) -> Result<Client, CliError> {
        let mut builder = Client::builder(&self.user)?.subprotocol(self.subprotocol);
        if let Some(token) = self.token.or_else(|| std::env::var("LOGUX_TOKEN").ok()) {
            builder = builder.token(token);
        }
        Ok(builder.start(WebSocketConnector::new(&self.url)?))
    }
}
