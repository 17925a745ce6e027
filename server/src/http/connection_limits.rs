//! Limits the number of connections, in total and per network, so that one client cannot occupy
//! all of them.
//!
//! Beyond a limit, a new connection replaces the one that has been without progress for longest. A
//! connection whose request is being handled is never replaced.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::activity::{Activity, Phase};
use super::client_address::{Proxies, network};

/// How long a connection must have been without progress before another may replace it.
const REPLACEABLE_AFTER: Duration = Duration::from_millis(500);

/// The connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    total: usize,
    per_network: usize,
    proxies: Proxies,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    last_id: u64,
    by_id: HashMap<u64, Connection>,
    by_network: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Connection {
    /// `None` for a trusted proxy, which is exempt from the limit per network.
    network: Option<IpAddr>,
    activity: Arc<Activity>,
}

/// The place of one connection, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    id: u64,
    pub(super) activity: Arc<Activity>,
}

impl Connections {
    /// Limits for all connections, and for those from one network. Connections from a trusted proxy
    /// have only the former.
    pub(super) fn new(total: usize, per_network: usize, proxies: Proxies) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_network,
            proxies,
            open: Mutex::default(),
        })
    }

    /// Finds a place for a connection; `None` if all are taken.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        self.admit_at(peer, Instant::now())
    }

    fn admit_at(self: &Arc<Self>, peer: IpAddr, now: Instant) -> Option<Place> {
        let network = Some(network(peer)).filter(|_| !self.proxies.contain(peer));
        let mut open = self.lock();
        let of_network = network.and_then(|network| open.by_network.get(&network)).copied();
        if of_network.unwrap_or(0) >= self.per_network {
            open.replace(network, now)?;
        } else if open.by_id.len() >= self.total {
            open.replace(None, now)?;
        }
        let activity = Arc::new(Activity::new());
        let id = open.add(network, Arc::clone(&activity));
        Some(Place {
            connections: Arc::clone(self),
            id,
            activity,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn add(&mut self, network: Option<IpAddr>, activity: Arc<Activity>) -> u64 {
        self.last_id += 1;
        self.by_id.insert(self.last_id, Connection { network, activity });
        if let Some(network) = network {
            *self.by_network.entry(network).or_default() += 1;
        }
        self.last_id
    }

    fn remove(&mut self, id: u64) -> Option<Connection> {
        let connection = self.by_id.remove(&id)?;
        if let Some(network) = connection.network
            && let Some(count) = self.by_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&network);
            }
        }
        Some(connection)
    }

    /// Ends the connection, of a network or of all if `None`, that has been without progress for
    /// longest. `None` if each has made progress recently.
    fn replace(&mut self, network: Option<IpAddr>, now: Instant) -> Option<()> {
        let candidates = self.by_id.iter().filter(|(_, connection)| {
            (network.is_none() || connection.network == network) && connection.activity.phase() != Phase::Handling
        });
        let (id, progressed) = candidates
            .map(|(id, connection)| (*id, connection.activity.last_progress()))
            .min_by_key(|(_, progressed)| *progressed)?;
        if now.saturating_duration_since(progressed) < REPLACEABLE_AFTER {
            return None;
        }
        self.remove(id)?.activity.evict();
        Some(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().remove(self.id);
    }
}

/// Half of the files that this process may have open, so that connections leave the other half to
/// the database and to stores; at most 4096.
pub(super) fn default_total() -> usize {
    const MOST: usize = 4096;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    soft.map_or(MOST, |files| (files / 2).clamp(16, MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(connections: &Arc<Connections>, peer: &str) -> Option<Place> {
        connections.admit(peer.parse().unwrap())
    }

    #[test]
    fn one_network_cannot_occupy_every_place() {
        let proxies = Proxies::parse("10.0.0.0/8").unwrap();
        let connections = Connections::new(5, 2, proxies);
        let mut places = vec![admit(&connections, "192.0.2.1").unwrap()];
        places.push(admit(&connections, "192.0.2.1").unwrap());
        assert!(admit(&connections, "192.0.2.1").is_none(), "both are in use");
        places.push(admit(&connections, "2001:db8::1").unwrap());
        let neighbour = admit(&connections, "2001:db8::2").unwrap();
        assert!(admit(&connections, "2001:db8::3").is_none(), "the same /64 block");
        drop(neighbour);
        places.extend(
            [admit(&connections, "10.0.0.1"), admit(&connections, "10.0.0.1")]
                .into_iter()
                .flatten(),
        );
        assert_eq!(places.len(), 5);
        assert!(
            admit(&connections, "10.0.0.1").is_none(),
            "a proxy has only the limit of all"
        );
        places.remove(0);
        assert!(admit(&connections, "198.51.100.7").is_some());
    }

    #[tokio::test]
    async fn a_new_connection_replaces_the_one_without_progress_for_longest() {
        let connections = Connections::new(3, 3, Proxies::default());
        let [busy, oldest, newest] = [(); 3].map(|()| admit(&connections, "192.0.2.1").unwrap());
        busy.activity.enter(Phase::Handling);
        newest.activity.progress();
        assert!(admit(&connections, "192.0.2.1").is_none(), "all have just begun");
        let later = Instant::now() + REPLACEABLE_AFTER;
        let admit_later = || connections.admit_at("192.0.2.1".parse().unwrap(), later);
        let _first = admit_later().unwrap();
        oldest.activity.evicted().await;
        let _second = admit_later().unwrap();
        newest.activity.evicted().await;
        drop((oldest, newest));
        assert_eq!(
            connections.lock().by_id.len(),
            3,
            "replaced connections have no place to return"
        );
    }
}
