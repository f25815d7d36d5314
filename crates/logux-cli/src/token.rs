//! `logux token`: prints a token to log in with.

use std::process::ExitCode;

use clap::Args;
use jsonwebtoken::get_current_timestamp;
use serde_json::{Map, Value};

use crate::{
    config::flags::{SecretFile, SecretString},
    error::CliError,
    jwt,
};

/// Print a token with which a client can log in, for trying
///
/// The token is a JSON Web Token for one user, signed with HS256 and the secret of
/// `logux serve --secret`. In production, your application makes the tokens, after it has
/// authenticated its users.
#[derive(Args, Clone, Debug)]
#[command(after_long_help = "\
Examples:
  Make a secret, serve with it, and send an action as user 10:
    openssl rand -base64 32 > secret
    logux serve --collection tasks --secret-file secret
    logux send ws://127.0.0.1:31337 --user 10 --token $(logux token 10 --secret-file secret) \\
      '{\"type\":\"tasks/create\",\"id\":\"1\",\"fields\":{\"title\":\"Tea\"}}'")]
pub(crate) struct TokenArgs {
    /// User id, the claim `sub`
    #[arg(value_name = "USER")]
    user: String,
    /// Secret to sign with [env: LOGUX_SECRET]
    ///
    /// Other users of this machine can see it in the list of processes: set LOGUX_SECRET or
    /// --secret-file instead.
    #[arg(long, value_name = "SECRET", conflicts_with = "secret_file")]
    secret: Option<SecretString>,
    /// File with the secret
    #[arg(long, value_name = "FILE")]
    secret_file: Option<SecretFile>,
    /// Seconds until the token expires; 0 is never
    #[arg(long, value_name = "NUMBER", default_value_t = 3_600)]
    expires: u64,
    /// Another claim, such as aud=logux; can be repeated
    #[arg(long = "claim", value_name = "NAME=JSON", value_parser = parse_claim)]
    claims: Vec<(String, Value)>,
}

fn parse_claim(text: &str) -> Result<(String, Value), String> {
    let (name, json) = text
        .split_once('=')
        .ok_or_else(|| "expected a name and a value, such as a=1".to_owned())?;
    // A word is a string, so that it needs no quotes for JSON and for the shell.
    let value = serde_json::from_str(json).unwrap_or_else(|_| json.into());
    Ok((name.to_owned(), value))
}

/// Prints the token.
pub(crate) fn run(args: &TokenArgs) -> Result<ExitCode, CliError> {
    let secret = match (&args.secret, &args.secret_file) {
        (Some(SecretString(secret)), _) | (None, Some(SecretFile(SecretString(secret)))) => {
            Some(secret.clone())
        }
        (None, None) => std::env::var("LOGUX_SECRET").ok(),
    };
    let secret = secret.filter(|secret| !secret.is_empty()).ok_or(CliError::NoSecret)?;
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), args.user.clone().into());
    claims.insert("iat".to_owned(), get_current_timestamp().into());
    if args.expires > 0 {
        claims
            .insert("exp".to_owned(), get_current_timestamp().saturating_add(args.expires).into());
    }
    claims.extend(args.claims.iter().cloned());
    println!("{}", jwt::sign(&claims, &secret)?);
    Ok(ExitCode::SUCCESS)
}
