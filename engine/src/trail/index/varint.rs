//! Numbers of variable length: seven bits a byte, the lowest first.

use super::Damaged;

pub(super) fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.push(u8::try_from(number).unwrap_or(0));
}

/// Appends a number of either sign; small ones are short.
pub(super) fn push_signed(out: &mut Vec<u8>, number: i64) {
    let zigzag = (number << 1) ^ (number >> 63);
    push(out, zigzag.cast_unsigned());
}

/// Reads numbers from the front of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'b>(pub(super) &'b [u8]);

impl<'b> Numbers<'b> {
    pub(super) fn next(&mut self) -> Result<u64, Damaged> {
        if let [byte @ 0..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(u64::from(*byte));
        }
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Damaged)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged)
    }

    pub(super) fn next_signed(&mut self) -> Result<i64, Damaged> {
        let zigzag = self.next()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    pub(super) fn next_u32(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.next()?).map_err(|_| Damaged)
    }

    pub(super) fn next_len(&mut self) -> Result<usize, Damaged> {
        usize::try_from(self.next()?).map_err(|_| Damaged)
    }

    /// Takes bytes from the front.
    pub(super) fn take(&mut self, length: usize) -> Result<&'b [u8], Damaged> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_broken_ones_are_refused() {
        let mut bytes = Vec::new();
        let unsigned = [0, 1, 127, 128, 300, u64::MAX];
        let signed = [0, -1, 1, i64::MIN, i64::MAX, -64, 64];
        for number in unsigned {
            push(&mut bytes, number);
        }
        for number in signed {
            push_signed(&mut bytes, number);
        }
        let mut numbers = Numbers(&bytes);
        for number in unsigned {
            assert_eq!(numbers.next(), Ok(number));
        }
        for number in signed {
            assert_eq!(numbers.next_signed(), Ok(number));
        }
        assert_eq!(numbers.next(), Err(Damaged));
        assert_eq!(Numbers(&[0xff; 12]).next(), Err(Damaged), "too long");
        assert_eq!(Numbers(&bytes).take(1_000), Err(Damaged));
    }
}
