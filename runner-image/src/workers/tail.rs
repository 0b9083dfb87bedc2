//! What a process printed, of which only the end is kept.

/// The bytes that are kept.
const KEPT: usize = 2048;

/// How much was printed, and its end.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    count: usize,
    end: Vec<u8>,
}

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.count = self.count.saturating_add(bytes.len());
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let surplus = (self.end.len() + bytes.len()).saturating_sub(KEPT);
        self.end.drain(..surplus);
        self.end.extend_from_slice(bytes);
    }

    pub(crate) fn exceeds(&self, limit: u32) -> bool {
        self.count > limit as usize
    }

    pub(crate) fn clear(&mut self) {
        if self.count > 0 {
            *self = Self::default();
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.end).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_and_the_count() {
        let mut tail = Tail::default();
        for _ in 0..1000 {
            tail.push(b"0123456789");
        }
        tail.push(b"end\n");
        assert!(tail.exceeds(10_003) && !tail.exceeds(10_004));
        assert!(tail.text().ends_with("789end") && tail.text().len() < KEPT);
    }
}
