package operation

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/clientos/protocol"
)

// newProgram is a part at the first of several statements, for which PCs may come late by lateFor.
func newProgram(kinds ...string) part {
	p := newPart(kinds[0])
	p.kinds, p.late = kinds, lateFor
	return p
}

const lateFor = 30 * time.Minute

// unseen is a part that has not been looked at, because its PC is not there.
func unseen(kinds ...string) part {
	p := newProgram(kinds...)
	p.Instruct = protocol.Instruct{ID: p.Instruct.ID}
	p.memory.Unprepared, p.memory.Unplanned, p.memory.Deadline = true, true, t0.Add(lateFor)
	return p
}

// next is the instruction of a statement, as the pre-flight of a PC makes it.
func next(kind string, step int, online bool) prepared {
	in := newPart(kind).Instruct
	in.ID = nextID(in.ID, step)
	return prepared{instruct: in, online: online, free: online}
}

func TestRulesBetweenStatements(t *testing.T) {
	t.Parallel()
	rebooted := after(plan, ends(1, protocol.Done))
	verdict := comesBack(holding(final(1, protocol.Done)))
	looked := next(RestoreImage, 1, true)
	gone := next(RestoreImage, 1, false)
	gone.instruct = protocol.Instruct{ID: gone.instruct.ID}
	unfit := next(RestoreImage, 1, true)
	unfit.failure = &protocol.Failure{Code: protocol.ErrSize, Problem: "too small", Advice: "choose another"}
	busy := next(RestoreImage, 1, true)
	busy.free = false
	restart, configure := newProgram(Reboot, RestoreImage), newProgram(ConfigureOS, RestoreImage)
	for name, test := range map[string]struct {
		part    part
		moments []moment
		state   string
		step    int
		effects []effect
		reason  string
	}{
		"done, and on to the next":              {configure, after(plan, ends(1, protocol.Done)), Waiting, 1, []effect{settle, prepare}, ""},
		"looked at":                             {configure, after(plan, ends(1, protocol.Done), now(looked)), Waiting, 1, []effect{instruct}, ""},
		"looked at twice":                       {configure, after(plan, ends(1, protocol.Done), now(looked), now(looked)), Waiting, 1, nil, ""},
		"unfit for the next":                    {configure, after(plan, ends(1, protocol.Done), now(unfit)), Failed, 1, nil, "too small"},
		"gone before it is looked at":           {configure, after(plan, ends(1, protocol.Done), now(gone)), Waiting, 1, nil, ""},
		"gone, and there again":                 {configure, after(plan, ends(1, protocol.Done), now(gone), later(time.Minute, ready)), Waiting, 1, []effect{prepare}, ""},
		"gone for good":                         {configure, after(plan, ends(1, protocol.Done), now(gone), later(lateFor+1, away)), NeverCame, 1, nil, "it had done 1 of 2"},
		"holds something else":                  {configure, after(plan, ends(1, protocol.Done), now(busy)), Waiting, 1, nil, ""},
		"held something else, and put it down":  {configure, after(plan, ends(1, protocol.Done), now(busy), now(ready)), Waiting, 1, []effect{instruct}, ""},
		"verdict repeated after the next began": {configure, after(plan, ends(1, protocol.Done), now(disconnected{}), verdict), Waiting, 1, []effect{prepare}, ""},
		"verdict that comes with the session":   {configure, after(plan, now(disconnected{}), verdict), Waiting, 1, []effect{settle, prepare}, ""},
		"next one done":                         {configure, after(plan, ends(1, protocol.Done), now(looked), arrives, verified(2, used)), Done, 1, []effect{settle}, ""},
		"cancelled, and done":                   {configure, after(plan, now(cancelAsked{}), ends(1, protocol.Done)), Cancelled, 0, []effect{settle}, ""},
		"cancelled before it is looked at":      {configure, after(plan, ends(1, protocol.Done), now(cancelAsked{}), now(looked)), Cancelled, 1, nil, ""},
		"failed":                                {configure, after(plan, ends(1, protocol.Failed)), Failed, 0, []effect{settle}, "sector 7"},
		"server restarts between":               {configure, after(plan, ends(1, protocol.Done), now(restarted{})), Waiting, 1, nil, ""},
		"server restarts, PC with its verdict":  {configure, after(plan, ends(1, protocol.Done), now(restarted{}), verdict), Waiting, 1, []effect{prepare}, ""},
		"server restarts, PC there":             {configure, after(plan, ends(1, protocol.Done), now(restarted{}), now(ready)), Waiting, 1, []effect{prepare}, ""},
		"server restarts with the next unsent":  {configure, after(plan, ends(1, protocol.Done), now(looked), now(restarted{}), comesBack(nil)), Waiting, 1, []effect{instruct}, ""},
		"PC with work of another operation":     {configure, after(plan, ends(1, protocol.Done), comesBack(&report{ID: "other", State: protocol.Running})), Waiting, 1, nil, ""},

		"told to restart":                          {restart, rebooted, Waiting, 1, []effect{settle}, ""},
		"about to restart":                         {restart, after(rebooted, later(time.Second, ready)), Waiting, 1, nil, ""},
		"about to restart, its network comes back": {restart, after(rebooted, now(disconnected{}), verdict, later(time.Second, ready)), Waiting, 1, nil, ""},
		"restarted":                                {restart, after(rebooted, now(disconnected{}), comesBack(nil)), Waiting, 1, []effect{prepare}, ""},
		"restarted without a word":                 {restart, after(plan, now(disconnected{}), comesBack(nil)), Waiting, 1, []effect{prepare}, ""},
		"restarted before it was missed":           {restart, after(plan, comesBack(nil)), Waiting, 1, []effect{settle, prepare}, ""},
		"restarts, verdict with a new session":     {restart, after(plan, now(disconnected{}), verdict, now(ready)), Waiting, 1, nil, ""},
		"never back from its restart":              {restart, after(rebooted, now(disconnected{}), later(lateFor+1, away)), NeverCame, 1, nil, "it had done 1 of 2"},
		"cancelled while it restarts":              {restart, after(rebooted, now(cancelAsked{})), Cancelled, 1, nil, ""},
		"others start while it restarts":           {restart, after(rebooted, now(unawaited{})), Waiting, 1, nil, ""},
		"given up while it restarts":               {restart, after(rebooted, later(lostAfter, unawaited{})), NeverCame, 1, nil, "started without it"},
		"others start while it connects again":     {configure, after(plan, ends(1, protocol.Done), now(disconnected{}), now(unawaited{})), Waiting, 1, nil, ""},
		"server restarts while it restarts":        {restart, after(rebooted, now(restarted{}), later(time.Minute, away)), Waiting, 1, nil, ""},
		"server restarts, verdict not settled":     {restart, after(rebooted, now(restarted{}), verdict, now(ready)), Waiting, 1, nil, ""},
		"server restarts, and back":                {restart, after(rebooted, now(restarted{}), comesBack(nil)), Waiting, 1, []effect{prepare}, ""},
		"server restarts, PC long gone":            {restart, after(plan, now(restarted{}), later(lostAfter, away)), Waiting, 1, []effect{settle}, ""},

		"not there yet":                {unseen(RestoreImage), []moment{now(away)}, Waiting, 0, nil, ""},
		"comes late":                   {unseen(RestoreImage), []moment{later(time.Minute, connected{})}, Waiting, 0, []effect{prepare}, ""},
		"comes too late":               {unseen(RestoreImage), []moment{later(lateFor+1, away)}, NeverCame, 0, nil, "nothing was done to it"},
		"others start without it":      {unseen(RestoreImage), []moment{now(unawaited{})}, NeverCame, 0, nil, "started without it"},
		"others start, it is there":    {unseen(RestoreImage), []moment{now(unawaited{online: true})}, Waiting, 0, nil, ""},
		"server restarts meanwhile":    {unseen(RestoreImage), []moment{now(restarted{}), later(lateFor+1, away)}, NeverCame, 0, nil, "not there in time"},
		"server off for longer":        {unseen(RestoreImage), []moment{later(2*lateFor, restarted{}), later(time.Minute, away), now(connected{})}, Waiting, 0, []effect{prepare}, ""},
		"server off, and PC too":       {unseen(RestoreImage), []moment{later(2*lateFor, restarted{}), later(returnLimit+1, away)}, NeverCame, 0, nil, "not there in time"},
		"to be woken":                  {unseen(WakeUp, RestoreImage), []moment{now(away)}, Waiting, 0, []effect{prepare}, ""},
		"woken":                        {unseen(WakeUp, RestoreImage), []moment{now(next(WakeUp, 0, false))}, Waiting, 0, []effect{wake}, ""},
		"woken again":                  {unseen(WakeUp, RestoreImage), []moment{now(next(WakeUp, 0, false)), later(wakeAgain, away)}, Waiting, 0, []effect{wake}, ""},
		"was awake":                    {unseen(WakeUp, RestoreImage), []moment{now(next(WakeUp, 0, true))}, Waiting, 1, []effect{prepare}, ""},
		"woke up":                      {unseen(WakeUp, RestoreImage), []moment{now(next(WakeUp, 0, false)), comesBack(nil)}, Waiting, 1, []effect{prepare}, ""},
		"woke up, found by a tick":     {unseen(WakeUp, RestoreImage), []moment{now(next(WakeUp, 0, false)), now(ready)}, Waiting, 1, []effect{prepare}, ""},
		"did not wake up":              {unseen(WakeUp, RestoreImage), []moment{now(next(WakeUp, 0, false)), later(lateFor+1, away)}, NeverCame, 0, nil, "not there in time"},
		"server restarts as it wakes":  {unseen(WakeUp, RestoreImage), []moment{now(next(WakeUp, 0, false)), now(restarted{}), later(wakeAgain, away)}, Waiting, 0, []effect{wake}, ""},
		"cancelled as it wakes":        {unseen(WakeUp, RestoreImage), []moment{now(next(WakeUp, 0, false)), now(cancelAsked{})}, Cancelled, 0, nil, ""},
		"instruction cannot be sent":   {configure, after(plan, ends(1, protocol.Done), now(looked), now(sendResult{errors.New("gone")}), now(ready)), Waiting, 1, []effect{instruct}, ""},
		"old operation, no statements": {newPart(Reboot), after(plan, ends(1, protocol.Done)), Done, 0, []effect{settle}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, effects := play(test.part, test.moments)
			if p.State != test.state || p.Step != test.step || !slices.Equal(effects, test.effects) {
				t.Errorf("got %s at %d with effects %v, want %s at %d with %v (%v)", p.State, p.Step, effects, test.state, test.step, test.effects, p.Failure)
			}
			if got := p.Failure; test.reason != "" && (got == nil || !strings.Contains(got.Problem, test.reason)) || test.reason == "" && got != nil {
				t.Errorf("failure %v, want %q", got, test.reason)
			}
		})
	}
}

// TestNobodyIsWaitedForForEver has an operation for which no PC may come late, and a PC that does not come back from a restart in the middle.
func TestNobodyIsWaitedForForEver(t *testing.T) {
	t.Parallel()
	p := newProgram(Reboot, RestoreImage)
	p.late = 0
	if p, _ := play(p, after(plan, now(disconnected{}), later(DefaultLate+1, away))); p.State != NeverCame {
		t.Errorf("got %s, want that it never came", p.State)
	}
	p = unseen(WakeUp)
	p.late, p.memory.Deadline = 0, time.Time{}
	if p, _ := play(p, []moment{now(next(WakeUp, 0, false)), later(DefaultLate+1, away)}); p.State != NeverCame {
		t.Errorf("got %s, want that it never came", p.State)
	}
}

func TestWakeUpWithoutWaitingForOthers(t *testing.T) {
	t.Parallel()
	woken := 0
	b := newBench(t, func(c *Config) { c.Wake = func([]string) error { woken++; return nil } })
	b.agents.offline["pc1"] = true
	r := b.request("wakeUp 60\nrestoreImage REPO windows11 1 1", "pc1")
	r.Late = -1
	if got, err := b.m.Check(t.Context(), r); err != nil || got[0].Failure != nil {
		t.Errorf("pre-flight of a PC that is to be woken: %v, %+v", err, got[0].Failure)
	}
	op, err := b.m.Begin(t.Context(), "marta", r)
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	if b.wantTarget(op, "pc1", Waiting); woken != 1 {
		t.Errorf("woken %d times", woken)
	}
	b.comes("pc1")
	b.does("pc1", protocol.Report{})
	b.wantState(op, Done)
}

func TestProgramsForeseeTheCacheAndTheLayout(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.images.image.Blake3 = "0102"
	b.withCache("pc1", 20*gb)
	for text, code := range map[string]int{
		"updateCache REPO windows11 UNICAST\nrestoreImage CACHE windows11 1 1":                              0,
		"deployImage REPO windows11 1 1 UNICAST\nrestoreImage CACHE windows11 1 1":                          0,
		"restoreImage REPO windows11 1 1\nrestoreImage CACHE windows11 1 1":                                 protocol.ErrNotFound, // it goes straight to the disk
		"updateCache REPO windows11 UNICAST\ndeleteCachedImage windows11\nrestoreImage CACHE windows11 1 1": protocol.ErrNotFound,
		"updateCache REPO windows11 UNICAST\nupdateCache REPO lab-p1 UNICAST":                               protocol.ErrCacheSize,
		"updateCache REPO windows11 UNICAST\ndeleteCachedImage windows11\nupdateCache REPO lab-p1 UNICAST":  0,
		"restoreDiskImage REPO lab 1\nrestoreImage REPO lab-p5 1 5":                                         0,
		"restoreImage REPO lab-p5 1 5": protocol.ErrNotFound,
		"partitionDisk 1 GPT NTFS:70G EXT4:*:EXT4\nrestoreDiskImage REPO lab 1\nrestoreImage REPO windows11 1 1": 0,
	} {
		got, err := b.m.Check(t.Context(), b.request(text, "pc1"))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if f := got[0].Failure; f == nil && code != 0 || f != nil && f.Code != code {
			t.Errorf("%s: got %v, want code %d", text, f, code)
		}
	}
}

// TestRetryGoesOnWhereItEnded has a PC that is switched off at the time of the retry.
func TestRetryGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Network = netip.MustParsePrefix("172.17.36.1/24") })
	op := b.begin("configureOs 1 1\ndeployImage REPO windows11 1 1 MULTICAST-DIRECT", "pc1", "pc2", "pc3")
	for _, id := range []string{"pc1", "pc2", "pc3"} {
		b.does(id, protocol.Report{})
	}
	b.does("pc1", protocol.Report{})
	b.m.Report("pc2", protocol.Report{ID: b.agents.sent["pc2"].ID, Seq: 5, State: protocol.Failed, Failure: &protocol.Failure{Code: protocol.ErrImage, Problem: "x", Advice: "y"}})
	b.m.Report("pc3", protocol.Report{ID: b.agents.sent["pc3"].ID, Seq: 5, State: protocol.Cancelled})
	b.work()
	b.goes("pc2")
	b.wantState(op, Failed)
	again, err := b.m.Retry(t.Context(), "marta", op.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Targets) != 2 || again.Targets[0].Step != 1 || again.Targets[1].Step != 1 {
		t.Fatalf("the retry is of %+v", again.Targets)
	}
	b.restart() // before anything of it was done
	b.passes(time.Second)
	if in := b.agents.sent["pc3"]; in.Kind != RestoreImage || !strings.Contains(in.Delivery.Parameters, ":2:60") || in.Delivery.Session != again.ID+".1" {
		t.Errorf("pc3 is told %+v with %+v: it wants a session for two", in, in.Delivery)
	}
	if was := b.wantState(op, Failed); !strings.Contains(was.Steps[1].Statement.Delivery.Parameters, ":3:60") {
		t.Errorf("the operation before has changed: %+v", was.Steps[1].Statement.Delivery)
	}
	if _, err := b.m.Begin(t.Context(), "marta", b.request("deployImage REPO windows11 1 1 UNICAST", "pc2")); err == nil ||
		!strings.Contains(err.Error(), "pc-02 is not there and is waited for") {
		t.Errorf("another operation for a PC that is waited for: %v", err)
	}
	b.does("pc3", protocol.Report{})
	b.comes("pc2")
	b.does("pc2", protocol.Report{})
	b.wantState(again, Done)
}

func TestRevisionOfACaptureIsRemembered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.request("createImage 1 1 REPO ubuntu\nreboot", "pc1", "pc2")
	if _, err := b.m.Begin(t.Context(), "marta", r); err == nil || !strings.Contains(err.Error(), "2 computers at once") {
		t.Errorf("one image from two PCs: %v", err)
	}
	op := b.begin("createImage 1 1 REPO ubuntu\nreboot", "pc1")
	if _, err := b.m.Begin(t.Context(), "marta", b.request("reboot\ncreateImage 1 1 REPO ubuntu", "pc2")); err == nil ||
		!strings.Contains(err.Error(), "is being captured from pc-01") {
		t.Errorf("the same image from another PC: %v", err)
	}
	img := testImage()
	img.Name, img.Revision = "ubuntu", 7
	b.reports(op, "pc1", protocol.Report{Seq: 1, State: protocol.Done})
	b.m.Published("pc1", instructionID(op.ID, "pc1"), img)
	b.work()
	b.does("pc1", protocol.Report{})
	b.restart()
	if got := b.wantState(op, Done); got.Revision != 7 {
		t.Errorf("revision %d, want 7", got.Revision)
	}
}

// TestVerdictIsNotSettledBeforeItIsStored has a disk of the server that is full.
func TestVerdictIsNotSettledBeforeItIsStored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.begin("configureOs 1 1\nrestoreImage REPO windows11 1 1", "pc1")
	b.agents.heard()
	b.store.full = true
	for range 2 { // an agent repeats itself
		b.m.Report("pc1", protocol.Report{ID: instructionID(op.ID, "pc1"), Seq: 9, State: protocol.Done})
		b.work()
	}
	b.wantHeard()
	b.store.full = false
	b.m.flush()
	b.work()
	b.wantHeard("instruct pc1", "settle pc1")
}

// TestRunningOperationFromBeforePrograms is one without Steps, in the middle of which the server was replaced.
func TestRunningOperationFromBeforePrograms(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.offline["pc2"] = true
	op := b.restore("pc2", "pc1") // the first of which fails the pre-flight
	b.reports(op, "pc1", protocol.Report{Seq: 1, Stage: protocol.StageWriting, Dirty: true})
	var old map[string]json.RawMessage
	if err := json.Unmarshal(b.store.records[op.ID], &old); err != nil {
		t.Fatal(err)
	}
	delete(old, "steps")
	delete(old, "late")
	data, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	b.store.records[op.ID] = data
	b.restart()
	b.wantTarget(op, "pc1", LostContact)
	if got := b.images.holders(); len(got) != 1 {
		t.Errorf("its image is held by %q", got)
	}
	b.m.Connected("pc1", &protocol.Report{ID: instructionID(op.ID, "pc1"), Seq: 2, State: protocol.Running, Stage: protocol.StageVerifying, Dirty: true})
	b.wantTarget(op, "pc1", Running)
	b.finishes(op, "pc1")
	b.wantTarget(op, "pc1", Done)
	b.wantState(op, Failed)
	if _, err := b.m.Retry(t.Context(), "marta", op.ID); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("a retry: %v", err)
	}
	if got := b.images.holders(); len(got) != 0 {
		t.Errorf("its image is still held by %q", got)
	}
}

// TestStandingAtAStatementThatIsNot has records that no Manager wrote: they end the part, and nothing panics.
func TestStandingAtAStatementThatIsNot(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"beyond the last": {`"step":1`, `"step":7`},
		"negative":        {`"step":1`, `"step":-1`},
		"another":         {`"step":1`, `"step":0`},
	} {
		b := newBench(t)
		op := b.begin("configureOs 1 1\nrestoreImage REPO windows11 1 1", "pc1")
		b.does("pc1", protocol.Report{})
		record := instructionID(op.ID, "pc1")
		b.store.records[record] = []byte(strings.Replace(string(b.store.records[record]), change[0], change[1], 1))
		b.restart()
		b.passes(time.Second)
		if got := b.wantTarget(op, "pc1", Incomplete); got.Failure == nil || !strings.Contains(got.Failure.Problem, "was damaged") {
			t.Errorf("%s: %+v", name, got.Failure)
		}
	}
}
