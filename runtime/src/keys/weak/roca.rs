//! Detects ROCA keys (CVE-2017-15361). A widespread chip generated these RSA keys from primes that are powers of
//! 65537 modulo a product of small primes, so they can be factored at moderate cost.

/// Whether the modulus has the fingerprint of such a key: modulo each small prime, it is a power of
/// 65537. One in 10^50 other keys has it too.
pub(crate) fn is_fingerprinted(modulus: &[u8]) -> bool {
    (3..=LARGEST_PRIME)
        .filter(|&candidate| is_prime(candidate))
        .all(|prime| is_power_of_65537(remainder(modulus, prime), prime))
}

/// The largest prime of the product for keys of 1984 bits and more ("The Return of Coppersmith's Attack",
/// section 2.3).
const LARGEST_PRIME: u32 = 701;

pub(crate) fn is_prime(candidate: u32) -> bool {
    (2..).take_while(|factor| factor * factor <= candidate).all(|factor| !candidate.is_multiple_of(factor))
}

pub(crate) fn remainder(number: &[u8], prime: u32) -> u32 {
    number.iter().fold(0, |remainder, &byte| (remainder << 8 | u32::from(byte)) % prime)
}

fn is_power_of_65537(value: u32, prime: u32) -> bool {
    let powers = std::iter::successors(Some(1), |power| Some(power * 65_537 % prime));
    // The powers repeat after fewer than `prime` steps.
    powers.take(prime as usize).any(|power| power == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 65537 to the power `exponent`, big-endian.
    fn power(exponent: usize) -> Vec<u8> {
        let times_65537 = |number: &Vec<u8>| {
            let shifted = [number.as_slice(), &[0, 0]].concat();
            let padded = [&[0, 0], number.as_slice()].concat();
            let mut carry = 0;
            let mut sum: Vec<u8> = shifted
                .iter()
                .zip(&padded)
                .rev()
                .map(|(&a, &b)| {
                    carry += u16::from(a) + u16::from(b);
                    let [high, low] = carry.to_be_bytes();
                    carry = u16::from(high);
                    low
                })
                .collect();
            sum.push(carry as u8);
            sum.reverse();
            Some(sum)
        };
        std::iter::successors(Some(vec![1]), times_65537).nth(exponent).unwrap()
    }

    #[test]
    fn a_power_of_65537_has_the_roca_fingerprint_and_adjacent_numbers_do_not() {
        for exponent in [0, 1, 2, 3, 64, 128, 200] {
            let mut number = power(exponent);
            assert!(is_fingerprinted(&number), "{exponent}");
            *number.last_mut().unwrap() ^= 2;
            assert!(!is_fingerprinted(&number), "{exponent}");
        }
    }

    /// Multiplies a big-endian number by a small one.
    fn times(number: &[u8], factor: u32) -> Vec<u8> {
        let mut carry = 0;
        let product = number.iter().rev().map(|&byte| {
            carry += u32::from(byte) * factor;
            let low = carry as u8;
            carry >>= 8;
            low
        });
        let mut product: Vec<u8> = product.collect();
        product.extend(carry.to_le_bytes());
        product.reverse();
        product
    }

    fn plus(a: &[u8], b: &[u8]) -> Vec<u8> {
        let digit =
            |number: &[u8], index: usize| number.iter().rev().nth(index).copied().map_or(0, u16::from);
        let mut carry = 0;
        let mut sum: Vec<u8> = (0..=a.len().max(b.len()))
            .map(|index| {
                carry = digit(a, index) + digit(b, index) + (carry >> 8);
                carry as u8
            })
            .collect();
        sum.reverse();
        sum
    }

    #[test]
    fn a_number_of_the_chip_has_the_fingerprint_although_it_is_no_power_of_65537() {
        let primes = (3..=LARGEST_PRIME).filter(|number| (2..*number).all(|factor| number % factor != 0));
        let modulus = primes.fold(vec![2], |product, prime| times(&product, prime));
        for multiple in [1, 2, 77] {
            let number = plus(&times(&modulus, multiple), &power(64));
            assert!(is_fingerprinted(&number), "{multiple}");
        }
    }

    #[test]
    fn a_number_divisible_by_a_small_prime_has_no_fingerprint() {
        assert!(!is_fingerprinted(&[0]) && !is_fingerprinted(&[3]) && !is_fingerprinted(&[0x02, 0xbd]));
    }
}
