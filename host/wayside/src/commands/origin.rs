//! `wayside origin`: the control plane by itself, and its backups.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{net::TcpListener, sync::oneshot};
use wayside_edge_config::config::{self, Config};
use wayside_origin::{backup, origin::Origin, store::postgres::connect::PostgresSettings, token::Scope};
use wayside_policy::{admission::Admission, engine::Engine};
use wayside_serve::tls::{CertificateFiles, Tls};

use crate::{
    cli::Globals,
    first_token, logging, output,
    running::{self, End},
    settings,
};

/// The record's file within `origin.data`.
const DATABASE: &str = "origin.db";
/// The file within `origin.data` that holds the first token.
pub(super) const TOKEN: &str = "token";

/// Run an origin, or back up and restore its database
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    serve: Serve,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  wayside origin --config wayside.toml
  wayside origin backup --data .wayside/origin backup.db
  wayside origin restore --data .wayside/origin backup.db";

const SERVE_EXAMPLES: &str = "\
Examples:
  wayside origin serve --config wayside.toml";
const BACKUP_EXAMPLES: &str = "\
Examples:
  wayside origin backup backup.db                               (of the `wayside dev` of this folder)
  wayside origin backup --data /var/lib/wayside/origin backup.db";
const RESTORE_EXAMPLES: &str = "\
Examples:
  wayside origin restore backup.db                              (to the `wayside dev` of this folder)
  wayside origin restore --data /var/lib/wayside/origin backup.db";

#[derive(clap::Args)]
struct Serve {
    /// The configuration; see `wayside config schema`. Environment variables `WAYSIDE__SECTION__KEY` go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Run the origin
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Write a consistent copy of the database to a new file, also while an origin uses it. A record in Postgres is backed
    /// up by `pg_dump` and restored by `pg_restore`
    #[command(after_help = BACKUP_EXAMPLES)]
    Backup(Copy),
    /// Replace the database by a backup, which is checked first; no origin may be using it. A record in Postgres is
    /// restored by `pg_restore`
    #[command(after_help = RESTORE_EXAMPLES)]
    Restore(Copy),
}

#[derive(clap::Args)]
struct Copy {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The origin's folder (`origin.data`; of `wayside dev`, the folder `origin` in its data)
    #[arg(long, value_name = "DIR", default_value = ".wayside/origin")]
    data: PathBuf,
}

/// Does what is asked.
pub(crate) fn run(args: Args, _: &Globals) -> anyhow::Result<()> {
    match args.command {
        None => serve(&args.serve),
        Some(Command::Serve(arguments)) => serve(&arguments),
        Some(Command::Backup(copy)) => running::block_on(async {
            backup::back_up(&database(&copy.data), &copy.file).await?;
            output::line(&format!("backed up to {}", copy.file.display()))
        }),
        Some(Command::Restore(copy)) => running::block_on(async {
            backup::restore(&database(&copy.data), &copy.file).await?;
            output::line(&format!("restored from {}", copy.file.display()))
        }),
    }
}

/// The origin's database in its folder.
pub(super) fn database(data: &Path) -> PathBuf {
    data.join(DATABASE)
}

/// Opens the origin of a configuration.
pub(super) async fn open(config: &Config) -> anyhow::Result<Origin> {
    let engine = Engine::new(&running::engine_options(&config.policy))?;
    let admission = Admission::new(engine, running::compiler());
    let Some(store) = &config.origin.store else {
        return Ok(Origin::open(&database(&config.origin.data), admission).await?);
    };
    // The first token is written there.
    std::fs::create_dir_all(&*config.origin.data).with_context(|| format!("make {}", config.origin.data.display()))?;
    let origin = &config.origin;
    let settings = PostgresSettings {
        store: store.reveal().to_owned(),
        replica: origin.replica.as_ref().map(|url| url.reveal().to_owned()),
        password: origin.password_file.as_deref().map(settings::secret).transpose()?,
        connections: u32::try_from(origin.connections.get()).unwrap_or(u32::MAX),
        statement_timeout: Duration::from_millis(origin.statement_timeout_ms.get()),
    };
    Ok(Origin::open_postgres(&settings, admission).await?)
}

/// Listens for the API.
pub(super) async fn listen(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address}: the port is taken; choose another, or 0 for any free one")
        }
        _ => anyhow::Error::new(error).context(format!("{address}: listen")),
    })
}

/// Takes the API's certificate into use, when there is one.
fn certificate(origin: &config::Origin) -> anyhow::Result<Option<Tls>> {
    let (Some(certificate), Some(key)) = (&origin.certificate_file, &origin.key_file) else {
        return Ok(None);
    };
    let files = CertificateFiles {
        certificate: certificate.to_path_buf(),
        key: key.to_path_buf(),
    };
    Ok(Some(Tls::watch(files)?))
}

fn serve(arguments: &Serve) -> anyhow::Result<()> {
    let config = settings::load(arguments.config.as_deref())?;
    logging::start(&config.log);
    running::block_on(async {
        let mut end = End::listen()?;
        let Some(origin) = end.or(open(&config)).await else {
            return Ok(());
        };
        let origin = origin?;
        first_token::keep(&origin, &config.origin.data.join(TOKEN), Scope::Admin, "first").await?;
        let socket = listen(config.origin.listen.0).await?;
        let tls = certificate(&config.origin)?;
        if config.origin.is_in_the_open() {
            tracing::warn!(
                listen = %config.origin.listen.0,
                "plain HTTP: who is on the way reads tokens and secrets of sites; name a certificate \
                 (origin.certificate_file), or let only a proxy with one reach this address"
            );
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        output::line(&format!(
            "origin  {scheme}://{}",
            socket.local_addr().context("read the port")?
        ))?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(origin.serve(socket, tls, async { stopped.await.unwrap_or_default() }));
        end.asked().await;
        let _ = stop.send(());
        serving.await.context("stop the origin")
    })
}
