use std::io;
use std::net::SocketAddr;

/// Why a server did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// Somebody else listens there.
    #[error(
        "{addr} is in use by another program: `ss -ltnp sport = :{}` tells which; stop it, or listen on another port (0 picks a free one)",
        addr.port()
    )]
    AddressInUse {
        /// The address.
        addr: SocketAddr,
    },
    /// No interface has the address.
    #[error("{} is no address of this machine: `ip addr` lists those that are", addr.ip())]
    AddressNotOurs {
        /// The address.
        addr: SocketAddr,
    },
    /// Only a privileged program may listen there.
    #[error(
        "listening on port {} is not permitted: use a port from 1024 up, or lower `sysctl net.ipv4.ip_unprivileged_port_start`",
        addr.port()
    )]
    PortForbidden {
        /// The address.
        addr: SocketAddr,
    },
    /// Another error of the kernel.
    #[error("cannot listen on {addr}: {error}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The kernel's word.
        error: io::Error,
    },
    /// RLIMIT_NOFILE leaves no room for connections.
    #[error(
        "the descriptor limit of {limit} leaves no room for connections: {wanted} are needed at least (raise it with `ulimit -n`, or use fewer shards)"
    )]
    Descriptors {
        /// How many are needed.
        wanted: u64,
        /// RLIMIT_NOFILE.
        limit: u64,
    },
    /// The connections do not fit under RLIMIT_NOFILE, and are descriptors of the process.
    #[error(
        "{wanted} connections were asked for, and the descriptor limit of {limit} holds {room} on {driver}, where each is a descriptor of the process: raise it with `ulimit -n`, ask for fewer, or use io-uring where the kernel allows it, whose shards have a table each"
    )]
    Plain {
        /// On which driver.
        driver: &'static str,
        /// How many were asked for.
        wanted: u32,
        /// How many there can be.
        room: u64,
        /// RLIMIT_NOFILE.
        limit: u64,
    },
    /// The connections do not fit into the shards.
    #[error(
        "a shard would have to hold {wanted} connections, and one holds at most {room} under the descriptor limit of {limit}: use more shards, fewer connections, or raise the limit with `ulimit -n`"
    )]
    Table {
        /// How many connections a shard would have to hold.
        wanted: u64,
        /// How many it can hold.
        room: u64,
        /// RLIMIT_NOFILE.
        limit: u64,
    },
    /// A thread could not be bound to its core.
    #[error("cannot run on core {cpu}: {error} (`taskset -p $$` shows which cores are allowed)")]
    Cpu {
        /// The core.
        cpu: usize,
        /// The kernel's word.
        error: io::Error,
    },
    /// The driver of a shard failed.
    #[error("shard {shard}: {error}")]
    Driver {
        /// Which.
        shard: usize,
        /// The driver's word.
        error: halfopen_driver::Error,
    },
    /// A shard's thread panicked: a fault of the program.
    #[error("shard {shard} panicked: {message}")]
    Panic {
        /// Which.
        shard: usize,
        /// What it said.
        message: String,
    },
    /// A shard did not answer.
    #[error("shard {shard} did not start within 20 s: is the machine overloaded?")]
    Mute {
        /// Which.
        shard: usize,
    },
    /// The kernel would not give what every program needs.
    #[error("{doing}: {error}")]
    Os {
        /// What was being done.
        doing: &'static str,
        /// The kernel's word.
        error: io::Error,
    },
}
