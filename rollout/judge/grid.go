package judge

import "math"

const (
	// stepsPerOctave is how many ratios of the grid double a ratio.
	stepsPerOctave = 8
	// reach is how many steps the grid reaches to each side: to a ratio of 64.
	reach = 48
	// step is the distance of neighbouring ratios as a logarithm, 9%.
	step = math.Ln2 / stepsPerOctave
)

// ladder is a row of places on the grid: of a ratio, and of 1 to 48 steps from it.
type ladder [reach + 1]int

// grid is the ratios for which a metric's evidence is kept. One function holds all
// of it: the log-likelihood of the labels at a ratio, compared with the ratio 1. A
// bet is the difference of two of its values. What is tolerated and the margins
// have ladders of their own, which share most of their rungs: 1, 2 and 4 lie on
// one, 1.5 and 3 on another.
type grid struct {
	log    []float64 // the ratios' logarithms
	excess []float64 // the ratios less 1
	harm   ladder    // upwards from what is tolerated
	safe   []ladder  // downwards from each margin
	around [2*reach + 1]int
	stakes [reach + 1]float64   // logarithms of the shares staked on 1 to 48 steps
	prior  [2*reach + 1]float64 // those of around in the mixture of the interval
}

func newGrid(cfg Config, m Metric) *grid {
	g := &grid{safe: make([]ladder, len(cfg.Margins)), stakes: stakes(), prior: prior()}
	places := map[int64]int{}
	tolerated := stepsPerOctave * math.Log2(cfg.tolerated(m))
	for k := range g.around {
		g.around[k] = g.place(places, float64(k-reach))
	}
	for k := range g.harm {
		g.harm[k] = g.place(places, tolerated+float64(k))
	}
	for i := range cfg.Margins {
		top := stepsPerOctave * math.Log2(cfg.refuted(m, i))
		for k := range g.safe[i] {
			g.safe[i][k] = g.place(places, top-float64(k))
		}
	}
	return g
}

// place returns where the ratio at a number of steps is kept. Ratios that differ
// by rounding only are one.
func (g *grid) place(places map[int64]int, steps float64) int {
	key := int64(math.Round(steps * (1 << 24)))
	at, known := places[key]
	if !known {
		at = len(g.log)
		places[key] = at
		g.log = append(g.log, steps*step)
		g.excess = append(g.excess, math.Exp2(steps/stepsPerOctave)-1)
	}
	return at
}

// stakes returns the logarithms of the shares staked on each step: they fall as
// 1/sqrt(k), since small regressions are both more frequent and harder to see.
func stakes() (logs [reach + 1]float64) {
	var sum logSum
	for k := 1; k <= reach; k++ {
		logs[k] = -math.Log(float64(k)) / 2
		sum.add(logs[k])
	}
	for k := 1; k <= reach; k++ {
		logs[k] -= sum.log()
	}
	return logs
}

// prior returns the same to both sides, and as much for no step as for one.
func prior() (logs [2*reach + 1]float64) {
	var sum logSum
	for i := range logs {
		logs[i] = -math.Log(max(1, math.Abs(float64(i-reach)))) / 2
		sum.add(logs[i])
	}
	for i := range logs {
		logs[i] -= sum.log()
	}
	return logs
}
