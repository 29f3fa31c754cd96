//! Taking an address to listen on, with errors that say who has it and what would cure it.

use std::{fmt, io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

use crate::holder::{Holder, holder_of};

/// The default port, which another program that people run beside a chat model also takes by default.
const SHARED_PORT: u16 = 18789;

/// Connections that the system keeps waiting until they are accepted; further ones wait at the client.
const BACKLOG: u32 = 1024;
/// What the system keeps of each answer for a client that does not take it, in bytes. By itself a system lets it grow to megabytes: memory that such clients would hold,
/// and a queue so long that a slow network cannot be told from a client that has gone.
const SEND_BUFFER: u32 = 128 * 1024;

/// Why an address could not be listened on. Its text names the address, the process that holds the port where the system tells, and the cure.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    /// Who holds the port; only looked up when it is taken.
    holder: Option<Holder>,
    source: io::Error,
}

impl BindError {
    /// The address that was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the port is in use.
    pub fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.address.port();
        write!(f, "cannot listen on {}: ", self.address)?;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => {
                match &self.holder {
                    Some(holder) => write!(f, "port {port} is held by {holder}")?,
                    None => write!(f, "port {port} is held by another process (the system does not show this user which)")?,
                }
                if port == SHARED_PORT {
                    write!(f, "; {SHARED_PORT} is also the port of OpenClaw's gateway")?;
                }
                let other = SocketAddr::new(self.address.ip(), port.checked_add(1).unwrap_or(8080));
                write!(f, ". Stop that process, or listen elsewhere: --listen {other}")
            }
            io::ErrorKind::PermissionDenied => {
                let other = SocketAddr::new(self.address.ip(), SHARED_PORT);
                write!(f, "this user may not take port {port} ({}). Take a port above 1023: --listen {other}", self.source)
            }
            io::ErrorKind::AddrNotAvailable => {
                let other = SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), port);
                write!(f, "this machine has no address {}. Take one that it has: --listen {other}", self.address.ip())
            }
            _ => write!(f, "{}. Choose another address: --listen ADDRESS:PORT", self.source),
        }
    }
}

impl std::error::Error for BindError {}

/// Listens on `addr`; port 0 takes a free one.
///
/// # Errors
/// [`BindError`]
pub async fn bind(addr: SocketAddr) -> Result<TcpListener, BindError> {
    listen(addr).map_err(|source| {
        let holder = if source.kind() == io::ErrorKind::AddrInUse { holder_of(addr) } else { None };
        BindError { address: addr, holder, source }
    })
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // What a connection that has ended leaves behind for a while is no reason not to start again; on Windows the option means something else.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Connections take it over from their listener.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}
