package rollout

import (
	"time"

	"sluice/state"
)

// Policies returns the policies that are built in. None of them waits for ever
// without telling: a shift that stays undecided for its deadline pauses.
func Policies() []state.Policy {
	return []state.Policy{Standard(), Cautious(), BlueGreen(), Manual()}
}

// Standard goes to all new sessions in five shifts. A busy service is through in
// minutes.
func Standard() state.Policy {
	return state.Policy{Name: "standard", Stages: []state.Stage{
		{Kind: state.StageProbe, Passes: 3, Every: 2 * time.Second, Deadline: 5 * time.Minute},
		{Kind: state.StageShift, Share: 100, Hold: time.Minute, Deadline: 2 * time.Hour},
		{Kind: state.StageShift, Share: 500, Hold: time.Minute, Deadline: 2 * time.Hour},
		{Kind: state.StageShift, Share: 2500, Hold: time.Minute, Deadline: 2 * time.Hour},
		{Kind: state.StageShift, Share: 5000, Hold: time.Minute, Deadline: 2 * time.Hour},
		{Kind: state.StageShift, Share: whole, Hold: 5 * time.Minute},
	}}
}

// Cautious takes more and longer steps, and watches the end for an hour.
func Cautious() state.Policy {
	return state.Policy{Name: "cautious", Stages: []state.Stage{
		{Kind: state.StageProbe, Passes: 10, Every: 2 * time.Second, Deadline: 10 * time.Minute},
		{Kind: state.StageShift, Share: 100, Hold: 5 * time.Minute, Deadline: 6 * time.Hour},
		{Kind: state.StageShift, Share: 500, Hold: 10 * time.Minute, Deadline: 6 * time.Hour},
		{Kind: state.StageShift, Share: 1000, Hold: 10 * time.Minute, Deadline: 6 * time.Hour},
		{Kind: state.StageShift, Share: 2500, Hold: 15 * time.Minute, Deadline: 6 * time.Hour},
		{Kind: state.StageShift, Share: 5000, Hold: 30 * time.Minute, Deadline: 6 * time.Hour},
		{Kind: state.StageBake, Hold: time.Hour},
	}}
}

// BlueGreen probes the dark candidate and then gives it all sessions at once, for
// an hour in which the way back is one flip. Sessions move, so that its versions
// need not read one another's data.
func BlueGreen() state.Policy {
	return state.Policy{Name: "blue-green",
		Stages: []state.Stage{
			{Kind: state.StageProbe, Passes: 10, Every: time.Second, Deadline: 5 * time.Minute},
			{Kind: state.StageBake, Hold: time.Hour},
		},
		OnPromote: state.Handling{Pins: state.Pins{Mode: state.PinsMove}},
	}
}

// Manual waits for a person's word before each share. The judge says what it sees,
// and rolls back.
func Manual() state.Policy {
	p := state.Policy{Name: "manual", Stages: []state.Stage{{Kind: state.StageProbe, Passes: 3, Every: 2 * time.Second, Deadline: 5 * time.Minute}}}
	for _, share := range []int{100, 500, 2500, 5000} {
		p.Stages = append(p.Stages, state.Stage{Kind: state.StageShift, Share: share, Gate: true})
	}
	p.Stages = append(p.Stages, state.Stage{Kind: state.StageShift, Share: whole, Hold: 5 * time.Minute, Gate: true})
	return p
}
