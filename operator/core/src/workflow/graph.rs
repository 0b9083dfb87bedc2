//! The graph of steps.

/// An order in which steps can run, or every way in which they wait for each other.
pub(crate) enum Order {
    /// Positions of the steps; each depends only on earlier ones.
    Runs(Vec<usize>),
    /// Cycles: each step waits for the next and the last one for the first.
    Stuck(Vec<Vec<usize>>),
}

/// Sorts steps so that each comes after what it depends on; of those that are ready, the author's first comes first
/// (Kahn 1962).
pub(crate) fn order(dependencies: &[Vec<usize>]) -> Order {
    let mut placed = vec![false; dependencies.len()];
    let mut order = Vec::with_capacity(dependencies.len());
    let ready =
        |placed: &[bool], step: usize| !placed[step] && dependencies[step].iter().all(|&it| placed[it]);
    while let Some(step) = (0..dependencies.len()).find(|&step| ready(&placed, step)) {
        placed[step] = true;
        order.push(step);
    }
    if order.len() == dependencies.len() {
        return Order::Runs(order);
    }
    let mut cycles = Vec::new();
    for start in 0..dependencies.len() {
        if !placed[start]
            && let Some(cycle) = cycle_from(start, dependencies, &placed)
        {
            // One step is in one reported cycle: breaking that one may well break the others.
            for &step in &cycle {
                placed[step] = true;
            }
            cycles.push(cycle);
        }
    }
    Order::Stuck(cycles)
}

/// The first cycle that is reached by waiting from `start` on, if that does not end at a step that is `placed`.
fn cycle_from(start: usize, dependencies: &[Vec<usize>], placed: &[bool]) -> Option<Vec<usize>> {
    let mut path = vec![start];
    loop {
        let last = *path.last()?;
        let next = *dependencies[last].iter().find(|&&step| !placed[step])?;
        match path.iter().position(|&step| step == next) {
            Some(first) => return Some(path.split_off(first)),
            None => path.push(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(dependencies: &[&[usize]]) -> Result<Vec<usize>, Vec<Vec<usize>>> {
        let dependencies: Vec<Vec<usize>> = dependencies.iter().map(|it| it.to_vec()).collect();
        match order(&dependencies) {
            Order::Runs(order) => Ok(order),
            Order::Stuck(cycles) => Err(cycles),
        }
    }

    #[test]
    fn keeps_the_authors_order_among_the_ready() {
        let table: [(&[&[usize]], &[usize]); 4] = [
            (&[], &[]),
            (&[&[], &[], &[]], &[0, 1, 2]),
            (&[&[2], &[], &[]], &[1, 2, 0]),
            (&[&[1], &[2], &[], &[]], &[2, 1, 0, 3]),
        ];
        for (dependencies, expected) in table {
            assert_eq!(runs(dependencies), Ok(expected.to_vec()));
        }
    }

    #[test]
    fn finds_every_separate_cycle() {
        assert_eq!(runs(&[&[0]]), Err(vec![vec![0]]));
        assert_eq!(runs(&[&[1], &[2], &[0], &[2], &[5], &[4], &[]]), Err(vec![vec![0, 1, 2], vec![4, 5]]));
        assert_eq!(runs(&[&[1], &[2], &[1]]), Err(vec![vec![1, 2]]));
    }
}
