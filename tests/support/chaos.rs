//! A proxy in front of Postgres that a test can cut, stall and restore: the network between the service and its
//! database on a bad day. It listens on 127.0.0.1, and reaches the server by its socket or by TCP.
//!
//! Dropping the proxy cuts it for good.

use std::net::SocketAddr;
use std::path::PathBuf;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

pub struct Chaos {
    address: SocketAddr,
    target: PgConnectOptions,
    weather: watch::Sender<Weather>,
}

/// A connection belongs to the cut it was opened after, so that none survives a cut that is restored at once.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Weather {
    mode: Mode,
    cuts: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Stalled,
    Cut,
}

impl Chaos {
    /// A proxy in front of the server that `target` leads to.
    pub async fn before(target: &PgConnectOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let calm = Weather {
            mode: Mode::Open,
            cuts: 0,
        };
        let (weather, forecast) = watch::channel(calm);
        tokio::spawn(accept(listener, Upstream::of(target), forecast));
        let target = target.clone();
        Self {
            address,
            target,
            weather,
        }
    }

    /// The database through the proxy.
    pub fn url(&self) -> String {
        let database = self
            .target
            .get_database()
            .expect("options that name a database");
        let (user, port) = (self.target.get_username(), self.address.port());
        if self.target.get_socket().is_some() {
            return format!("postgres://{user}@127.0.0.1:{port}/{database}?sslmode=disable");
        }
        // Another server may ask for a password, which only its own URL holds.
        let mut url = self.target.to_url_lossy();
        url.set_host(Some("127.0.0.1")).expect("a URL with a host");
        url.set_port(Some(port)).expect("a URL with a port");
        url.into()
    }

    /// Ends every connection and accepts no further one.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| {
            weather.mode = Mode::Cut;
            weather.cuts += 1;
        });
    }

    /// Connections stay open, also new ones, but nothing passes in either direction.
    pub fn stall(&self) {
        self.weather
            .send_modify(|weather| weather.mode = Mode::Stalled);
    }

    /// New connections are accepted and stalled ones go on; what was cut stays cut.
    pub fn restore(&self) {
        self.weather
            .send_modify(|weather| weather.mode = Mode::Open);
    }
}

enum Upstream {
    Socket(PathBuf),
    Tcp(String, u16),
}

impl Upstream {
    fn of(target: &PgConnectOptions) -> Self {
        match target.get_socket() {
            Some(directory) => {
                Self::Socket(directory.join(format!(".s.PGSQL.{}", target.get_port())))
            }
            None => Self::Tcp(target.get_host().to_owned(), target.get_port()),
        }
    }
}

async fn accept(listener: TcpListener, upstream: Upstream, weather: watch::Receiver<Weather>) {
    let mut over = weather.clone();
    loop {
        let client = tokio::select! {
            client = listener.accept() => client,
            _ = over.wait_for(|_| false) => return,
        };
        let now = *weather.borrow();
        let (Ok((client, _)), Mode::Open | Mode::Stalled) = (client, now.mode) else {
            continue;
        };
        // A server that is down looks to the client like one that is cut off.
        match &upstream {
            Upstream::Socket(path) => {
                if let Ok(server) = UnixStream::connect(path).await {
                    connect(client, server, now.cuts, &weather);
                }
            }
            Upstream::Tcp(host, port) => {
                if let Ok(server) = TcpStream::connect((host.as_str(), *port)).await {
                    connect(client, server, now.cuts, &weather);
                }
            }
        }
    }
}

fn connect<S>(client: TcpStream, server: S, cuts: u64, weather: &watch::Receiver<Weather>)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = tokio::io::split(server);
    let mut cut = weather.clone();
    let requests = pump(client_read, server_write, weather.clone());
    let answers = pump(server_read, client_write, weather.clone());
    tokio::spawn(async move {
        // Whichever is first ends both: half a connection is of no use to Postgres.
        tokio::select! {
            () = requests => {}
            () = answers => {}
            _ = cut.wait_for(|now| now.cuts != cuts) => {}
        }
    });
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let passes = weather.wait_for(|now| now.mode == Mode::Open).await.is_ok();
        if !passes || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
