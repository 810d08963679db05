//! Mutations of the inputs of a corpus.

use std::ops::Range;

/// The maximum number of changes to one input, and the maximum length of the result.
const MOST_CHANGES: usize = 6;
const LONGEST: usize = 4096;

/// Random numbers (SplitMix64).
struct Random(u64);

/// Creates the input of a seed.
pub(crate) fn mutated(corpus: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut input = random.one_of(corpus).clone();
    for _ in 0..=random.below(MOST_CHANGES) {
        random.change(&mut input, corpus);
    }
    input.truncate(LONGEST);
    input
}

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Returns a number below a bound; 0 if the bound is 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn one_of<'a>(&mut self, corpus: &'a [Vec<u8>]) -> &'a Vec<u8> {
        &corpus[self.below(corpus.len())]
    }

    /// Chooses a range of bytes, short ones more often.
    fn range(&mut self, length: usize) -> Range<usize> {
        let start = self.below(length + 1);
        let most = [4, 16, usize::MAX][self.below(3)].min(length - start);
        start..start + self.below(most + 1)
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let at = self.below(input.len());
        let range = self.range(input.len());
        match self.below(7) {
            0 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
            1 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = self.next() as u8),
            2 => {
                let nearby = [1, 255][self.below(2)];
                let byte = input.iter_mut().skip(at).take(1);
                byte.for_each(|byte| *byte = byte.wrapping_add(nearby));
            }
            3 => drop(input.drain(range)),
            4 => drop(input.splice(at..at, input[range].to_vec())),
            5 => {
                let bytes: Vec<_> = (0..=self.below(8)).map(|_| self.next() as u8).collect();
                drop(input.splice(range, bytes));
            }
            _ => {
                let other = self.one_of(corpus);
                let taken = self.range(other.len());
                drop(input.splice(range, other[taken].to_vec()));
            }
        }
    }
}

#[test]
fn each_seed_has_its_own_input() {
    let corpus = [b"one".to_vec(), b"another".to_vec()];
    let inputs: Vec<_> = (0..100).map(|seed| mutated(&corpus, seed)).collect();
    assert!((0..100).all(|seed| inputs[seed] == mutated(&corpus, seed as u64)));
    let distinct: std::collections::HashSet<_> = inputs.iter().collect();
    assert!(distinct.len() > 80, "{}", distinct.len());
}
