//! What the records of a route have in common: its handler, its method and its template, as they are written. A
//! service has few of them, so each thread keeps those that it sees.

use crate::recorder::Usual;

/// As many as a thread keeps. A busier service writes the others anew each time.
const ROUTES: usize = 64;

/// The longest method and template that are kept, in bytes.
const LONGEST: usize = 256;

/// So many in a row are others before a place is given to one of them: two that share a place do not take turns.
const OTHERS: u8 = 32;

pub(super) struct KeptRoutes([Option<Box<KeptRoute>>; ROUTES]);

struct KeptRoute {
    /// By the addresses of texts that are there as long as the program.
    endpoint: Option<(&'static str, &'static str)>,
    method: Option<Box<str>>,
    route: Option<Box<str>>,
    written: Vec<u8>,
    others: u8,
}

impl Default for KeptRoutes {
    fn default() -> Self {
        Self([const { None }; ROUTES])
    }
}

impl KeptRoutes {
    #[inline]
    pub(super) fn find(&mut self, usual: &Usual<'_>) -> Option<&[u8]> {
        let kept = self.0.get_mut(place(usual))?.as_deref_mut()?;
        kept.is_of(usual).then(|| {
            kept.others = 0;
            kept.written.as_slice()
        })
    }

    #[cold]
    pub(super) fn keep<E>(
        &mut self,
        usual: &Usual<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (method, route) = (usual.request.method, usual.request.route.as_deref());
        if method.map_or(0, str::len) + route.map_or(0, str::len) > LONGEST {
            return Ok(());
        }
        let Some(place) = self.0.get_mut(place(usual)) else { return Ok(()) };
        if let Some(kept) = place.as_deref_mut().filter(|kept| kept.others < OTHERS) {
            kept.others += 1;
            return Ok(());
        }
        let mut written = Vec::new();
        write(&mut written)?;
        if written.len() <= LONGEST {
            let (method, route) = (method.map(Into::into), route.map(Into::into));
            *place =
                Some(Box::new(KeptRoute { endpoint: endpoint(usual), method, route, written, others: 0 }));
        }
        Ok(())
    }
}

impl KeptRoute {
    #[inline]
    fn is_of(&self, usual: &Usual<'_>) -> bool {
        let same_endpoint = match (self.endpoint, endpoint(usual)) {
            (None, None) => true,
            (Some(kept), Some(other)) => std::ptr::eq(kept.0, other.0) && std::ptr::eq(kept.1, other.1),
            _ => false,
        };
        same_endpoint
            && self.method.as_deref() == usual.request.method
            && self.route.as_deref() == usual.request.route.as_deref()
    }
}

fn endpoint(usual: &Usual<'_>) -> Option<(&'static str, &'static str)> {
    usual.request.endpoint.map(|endpoint| (endpoint.module_path(), endpoint.function()))
}

/// Addresses, which say no more than where it is worth a look. They are those of texts of some bytes.
fn place(usual: &Usual<'_>) -> usize {
    let route = usual.request.route.as_deref().map_or(0, |route| route.as_ptr() as usize);
    let function = usual.request.endpoint.map_or(0, |endpoint| endpoint.function().as_ptr() as usize);
    let method = usual.request.method.map_or(0, str::len);
    (route / 16 + function / 8 + method) % ROUTES
}
