//! Circles in a directed graph, without recursion.

/// A directed graph over `0..nodes`.
pub(super) struct Graph {
    starts: Vec<usize>,
    targets: Vec<usize>,
}

impl Graph {
    pub(super) fn new(nodes: usize, edges: &[(usize, usize)]) -> Self {
        let mut starts = vec![0; nodes + 1];
        for &(from, _) in edges {
            starts[from + 1] += 1;
        }
        for node in 0..nodes {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut targets = vec![0; edges.len()];
        for &(from, to) in edges {
            targets[next[from]] = to;
            next[from] += 1;
        }
        Self { starts, targets }
    }

    fn next(&self, node: usize) -> &[usize] {
        &self.targets[self.starts[node]..self.starts[node + 1]]
    }

    /// One circle of each strongly connected component that has any, as nodes in order; the last
    /// leads back to the first.
    pub(super) fn cycles(&self) -> Vec<Vec<usize>> {
        let component = self.components();
        let nodes = component.len();
        let mut done = vec![false; nodes];
        let mut seen_at = vec![usize::MAX; nodes];
        let mut cycles = Vec::new();
        for node in 0..nodes {
            let inside = |at: usize| {
                self.next(at)
                    .iter()
                    .copied()
                    .find(|&to| component[to] == component[at])
            };
            if done[component[node]] || inside(node).is_none() {
                continue;
            }
            done[component[node]] = true;
            // Every node of such a component leads to another of it, so the walk comes round.
            let mut path = Vec::new();
            let mut at = node;
            while seen_at[at] == usize::MAX {
                seen_at[at] = path.len();
                path.push(at);
                let Some(to) = inside(at) else { break };
                at = to;
            }
            cycles.push(path.split_off(seen_at[at]));
        }
        cycles
    }

    /// Tarjan's strongly connected components: the component of each node.
    fn components(&self) -> Vec<usize> {
        const UNSEEN: usize = usize::MAX;
        let nodes = self.starts.len() - 1;
        let (mut order, mut low) = (vec![UNSEEN; nodes], vec![0; nodes]);
        let mut component = vec![UNSEEN; nodes];
        let (mut stack, mut work) = (Vec::new(), Vec::new());
        let (mut count, mut components) = (0, 0);
        for root in 0..nodes {
            if order[root] != UNSEEN {
                continue;
            }
            work.push((root, 0));
            while let Some((node, step)) = work.pop() {
                if step == 0 {
                    order[node] = count;
                    low[node] = count;
                    count += 1;
                    stack.push(node);
                }
                if let Some(&to) = self.next(node).get(step) {
                    work.push((node, step + 1));
                    if order[to] == UNSEEN {
                        work.push((to, 0));
                    } else if component[to] == UNSEEN {
                        low[node] = low[node].min(order[to]);
                    }
                    continue;
                }
                if low[node] == order[node] {
                    while let Some(member) = stack.pop() {
                        component[member] = components;
                        if member == node {
                            break;
                        }
                    }
                    components += 1;
                }
                if let Some(&(parent, _)) = work.last() {
                    low[parent] = low[parent].min(low[node]);
                }
            }
        }
        component
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Graph;

    #[test]
    fn finds_circles() {
        assert_eq!(
            Graph::new(3, &[(0, 1), (1, 2)]).cycles(),
            Vec::<Vec<usize>>::new()
        );
        assert_eq!(Graph::new(1, &[(0, 0)]).cycles(), [[0]]);
        assert_eq!(
            Graph::new(4, &[(3, 0), (0, 1), (1, 2), (2, 0)]).cycles(),
            [[0, 1, 2]]
        );
        assert_eq!(
            Graph::new(4, &[(0, 1), (1, 0), (2, 3), (3, 2)])
                .cycles()
                .len(),
            2
        );
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let edges: Vec<_> = (0..200_000)
            .map(|node| (node, (node + 1) % 200_000))
            .collect();
        assert_eq!(Graph::new(200_000, &edges).cycles()[0].len(), 200_000);
    }

    proptest! {
        #[test]
        fn agrees_with_reachability(edges in prop::collection::vec((0usize..7, 0usize..7), 0..16)) {
            let mut reach = [[false; 7]; 7];
            for &(a, b) in &edges {
                reach[a][b] = true;
            }
            for k in 0..7 {
                for i in 0..7 {
                    for j in 0..7 {
                        reach[i][j] |= reach[i][k] && reach[k][j];
                    }
                }
            }
            let cycles = Graph::new(7, &edges).cycles();
            prop_assert_eq!(cycles.is_empty(), (0..7).all(|node| !reach[node][node]));
            for cycle in cycles {
                for (at, &node) in cycle.iter().enumerate() {
                    prop_assert!(edges.contains(&(node, cycle[(at + 1) % cycle.len()])));
                }
            }
        }
    }
}
