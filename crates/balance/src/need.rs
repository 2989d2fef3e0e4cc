//! What an exchange takes of its worker. Every exchange takes a slot. One that will live long (an
//! upgrade, an event stream) takes a tunnel slot as well, where a worker counts tunnels apart:
//! both at once, or neither. When its tunnel begins, its slot goes back and the tunnel slot stays.

/// What a request needs before it may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A slot.
    #[default]
    Request,
    /// A slot and a tunnel slot.
    Tunnel,
}

/// What a lease has taken, and gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Request,
    Both,
    Tunnel,
}

impl Need {
    pub(crate) const ALL: [Need; 2] = [Need::Request, Need::Tunnel];

    /// What it holds once it is served.
    pub fn held(self) -> Held {
        match self {
            Need::Request => Held::Request,
            Need::Tunnel => Held::Both,
        }
    }
}

impl Held {
    pub fn has_request(self) -> bool {
        self != Held::Tunnel
    }

    pub fn has_tunnel(self) -> bool {
        self != Held::Request
    }
}
