//! What `tail` and `send` have in common: a client for a URL.

use clap::Args;
use logux_client::Client;
use logux_net::WebSocketConnector;

/// Where to connect, and as whom.
#[derive(Args, Clone, Debug)]
pub(crate) struct TalkArgs {
    /// Address of the server, such as ws://127.0.0.1:31337
    #[arg(value_name = "URL")]
    url: String,
    /// User id
    #[arg(long, value_name = "ID", default_value = "cli")]
    user: String,
    /// Token that proves it [env: LOGUX_TOKEN]
    #[arg(long, value_name = "TEXT")]
    token: Option<String>,
    /// Version of the application's own protocol
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    subprotocol: u32,
}

/// A command failed; the text is for the user.
pub(crate) type Failed = Box<dyn std::error::Error>;

impl TalkArgs {
    /// A client that connects there.
    pub(crate) fn client(self) -> Result<Client, Failed> {
        let mut builder = Client::builder(&self.user)?.subprotocol(self.subprotocol);
        if let Some(token) = self.token.or_else(|| std::env::var("LOGUX_TOKEN").ok()) {
            builder = builder.token(token);
        }
        Ok(builder.start(WebSocketConnector::new(&self.url)?))
    }
}
