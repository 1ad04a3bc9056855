//! The ports of all four services, taken together or not at all.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{ShopError, Urls};

/// Bound before anything starts, so that a taken port stops everything at once.
pub(super) struct Listeners {
    pub(super) query: TcpListener,
    pub(super) users: TcpListener,
    pub(super) products: TcpListener,
    pub(super) orders: TcpListener,
}

impl Listeners {
    pub(super) async fn bind(first: SocketAddr) -> Result<Self, ShopError> {
        Ok(Self {
            query: bind(first, 0).await?,
            users: bind(first, 1).await?,
            products: bind(first, 2).await?,
            orders: bind(first, 3).await?,
        })
    }

    pub(super) fn urls(&self) -> Urls {
        Urls {
            users: url(&self.users),
            products: url(&self.products),
            orders: url(&self.orders),
            query: url(&self.query),
        }
    }
}

async fn bind(first: SocketAddr, offset: u16) -> Result<TcpListener, ShopError> {
    let mut address = first;
    if first.port() != 0 {
        address.set_port(first.port().saturating_add(offset));
    }
    TcpListener::bind(address).await.map_err(|source| ShopError::Listen { address, source })
}

fn url(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| String::new(), |address| format!("http://{address}"))
}
