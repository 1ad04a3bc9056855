//! A TCP proxy before one broker: its connections can be cut, and further ones refused for a while.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::Fallible;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// One proxy. It ends with the program.
pub(crate) struct Proxy {
    gate: watch::Sender<Gate>,
}

/// What is let through.
#[derive(Debug, Clone, Copy, Default)]
struct Gate {
    closed: bool,
    /// Connections accepted before the last cut are gone.
    cuts: u64,
}

impl Proxy {
    /// Listens at `port` and passes on to `broker_port`, both on loopback.
    pub(crate) fn start(port: u16, broker_port: u16, handle: &Handle) -> Fallible<Self> {
        let gate = watch::Sender::new(Gate::default());
        let _entered = handle.enter();
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
        let listener = socket.listen(BACKLOG)?;
        handle.spawn(accept(listener, broker_port, gate.subscribe()));
        Ok(Self { gate })
    }

    /// Ends every connection; refuses new ones until [`Proxy::let_through`].
    pub(crate) fn cut(&self) {
        self.gate.send_modify(|gate| *gate = Gate { closed: true, cuts: gate.cuts + 1 });
    }

    /// Passes new connections on again.
    pub(crate) fn let_through(&self) {
        self.gate.send_modify(|gate| gate.closed = false);
    }
}

async fn accept(listener: TcpListener, broker_port: u16, gate: watch::Receiver<Gate>) {
    loop {
        match listener.accept().await {
            // Dropped, it is closed before a byte has come.
            Ok((client, _)) if !gate.borrow().closed => {
                tokio::spawn(pass_on(client, broker_port, gate.clone()));
            }
            Ok(_) => {}
            Err(error) => crate::report::progress(&format!("the proxy takes no connection: {error}")),
        }
    }
}

async fn pass_on(mut client: TcpStream, broker_port: u16, mut gate: watch::Receiver<Gate>) {
    let cuts = gate.borrow().cuts;
    // A broker that is away: the client sees its connection end, as it would without a proxy.
    let Ok(mut broker) = TcpStream::connect(("127.0.0.1", broker_port)).await else { return };
    tokio::select! {
        _ended = copy_bidirectional(&mut client, &mut broker) => {}
        _cut = gate.wait_for(|now| now.cuts != cuts) => {}
    }
}
