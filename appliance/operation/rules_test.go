package operation

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore"
)

var t0 = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

const (
	used      = 1000
	lostAfter = 10 * time.Minute
)

// newPart is a part that was planned at t0.
func newPart(kind string) part {
	in := protocol.Instruct{ID: "20261122T090000000-aaaa.pc1", Kind: kind, Issued: t0}
	switch kind {
	case CreateImage:
		in.Disk, in.Partition, in.Capture = disk.Ref{Number: 1, Bytes: 1e9}, 1, &protocol.Capture{Name: "ubuntu"}
	case RestoreImage:
		in.Disk = disk.Ref{Number: 1, Bytes: 1e9}
		in.Parts = []protocol.Part{{Partition: 1, Image: protocol.Image{Name: "ubuntu", Revision: 1, UsedBytes: used, RequiredBytes: 2000}}}
	}
	p := part{Target: Target{ComputerID: "pc1", Name: "pc-01", State: Waiting, Instruct: in}}
	p.memory.Heard = t0
	return p
}

// A moment is an event some time after the one before it.
type moment struct {
	after time.Duration
	event event
}

// Short names for the events of the tables.
func now(ev event) moment                     { return moment{0, ev} }
func later(d time.Duration, ev event) moment  { return moment{d, ev} }
func says(seq uint64, stage string) moment    { return now(reported{running(seq, stage)}) }
func ends(seq uint64, state string) moment    { return now(reported{final(seq, state)}) }
func comesBack(held *protocol.Report) moment  { return now(connected{held}) }
func running(seq uint64, stage string) report { return dirtyReport(seq, stage, false) }
func writing(seq uint64) moment               { return now(reported{dirtyReport(seq, protocol.StageWriting, true)}) }
func holding(r protocol.Report) *report       { return &r }

type report = protocol.Report

func dirtyReport(seq uint64, stage string, dirty bool) report {
	return report{ID: newPart(Reboot).Instruct.ID, Seq: seq, State: protocol.Running, Stage: stage, Bytes: int64(seq), Total: 100, Dirty: dirty}
}

func final(seq uint64, state string) report {
	r := report{ID: newPart(Reboot).Instruct.ID, Seq: seq, State: state}
	switch state {
	case protocol.Done:
		r.Verified = used
	case protocol.Failed:
		r.Failure = &protocol.Failure{Code: protocol.ErrImage, Problem: "cannot read sector 7", Advice: "replace the disk"}
	}
	return r
}

func verified(seq uint64, n int64) moment {
	r := final(seq, protocol.Done)
	r.Verified, r.Dirty = n, true
	return now(reported{r})
}

var (
	ready   = ticked{ready: true}
	away    = ticked{}
	arrives = now(sendResult{})
	plan    = []moment{now(ready), arrives}
	image3  = published{imagestore.Image{Name: "ubuntu", Revision: 3}}
	full    = captureFailed{protocol.Failure{Code: protocol.ErrCacheSize, Problem: "repository full", Advice: "remove images"}}
)

func after(first []moment, more ...moment) []moment { return append(slices.Clone(first), more...) }

func TestRules(t *testing.T) {
	t.Parallel()
	restoring := after(plan, says(1, protocol.StagePreflight), writing(2))
	capturing := after(plan, says(1, protocol.StageReading))
	for name, test := range map[string]struct {
		kind    string
		moments []moment
		state   string
		dirty   bool
		reason  string // part of the failure's text; "" for none
	}{
		"nothing happened yet":                     {RestoreImage, nil, Waiting, false, ""},
		"instruction sent, PC has not begun":       {RestoreImage, plan, Waiting, false, ""},
		"PC begins":                                {RestoreImage, after(plan, says(1, protocol.StagePreflight)), Running, false, ""},
		"PC writes":                                {RestoreImage, restoring, Running, true, ""},
		"restore with every byte verified":         {RestoreImage, after(restoring, verified(3, used)), Done, false, ""},
		"restore with one byte too few":            {RestoreImage, after(restoring, verified(3, used-1)), Failed, true, "verified 999 of 1000 bytes"},
		"restore that verified nothing":            {RestoreImage, after(restoring, verified(3, 0)), Failed, true, "verified 0 of 1000 bytes"},
		"restore that verified more than there is": {RestoreImage, after(restoring, verified(3, used+1)), Failed, true, "verified 1001"},
		"PC fails":                                 {RestoreImage, after(restoring, ends(3, protocol.Failed)), Failed, true, "cannot read sector 7"},
		"final report that arrives twice":          {RestoreImage, after(restoring, verified(3, used), verified(3, used)), Done, false, ""},
		"failure after Done":                       {RestoreImage, after(restoring, verified(3, used), ends(4, protocol.Failed)), Done, false, ""},
		"Done after failure":                       {RestoreImage, after(restoring, ends(3, protocol.Failed), verified(4, used)), Failed, true, "sector 7"},
		"Done with the number of an older report":  {RestoreImage, after(restoring, verified(1, used)), Done, false, ""},
		"report of a state that does not exist":    {RestoreImage, after(restoring, now(reported{report{ID: "x", Seq: 9, State: "great"}})), Running, true, ""},

		"network cable pulled":                        {RestoreImage, after(restoring, now(disconnected{})), LostContact, true, ""},
		"network cable back, still writing":           {RestoreImage, after(restoring, now(disconnected{}), comesBack(holding(dirtyReport(7, protocol.StageWriting, true)))), Running, true, ""},
		"back before it has anything new to say":      {RestoreImage, after(restoring, now(disconnected{}), comesBack(holding(dirtyReport(2, protocol.StageWriting, true)))), Running, true, ""},
		"back when it had finished meanwhile":         {RestoreImage, after(restoring, now(disconnected{}), comesBack(holding(final(9, protocol.Done)))), Done, false, ""},
		"power cut while writing":                     {RestoreImage, after(restoring, now(disconnected{}), comesBack(nil)), Failed, true, "restarted in the middle of writing: its partition holds half an image"},
		"power cut while verifying":                   {RestoreImage, after(restoring, now(reported{dirtyReport(5, protocol.StageVerifying, true)}), comesBack(nil)), Failed, true, "written and not verified"},
		"power cut when last heard in its checks":     {RestoreImage, after(plan, says(1, protocol.StagePreflight), now(disconnected{}), comesBack(nil)), Failed, false, "restarted: it had written nothing to its disk when it was last heard, during its checks"},
		"PC silent since its checks":                  {RestoreImage, after(plan, says(1, protocol.StagePreflight), now(disconnected{}), later(lostAfter, away)), Incomplete, false, "had written nothing to its disk when it was last heard"},
		"power cut and back before it was missed":     {RestoreImage, after(restoring, comesBack(nil)), Failed, true, "restarted in the middle of writing"},
		"PC comes back with someone else's work":      {RestoreImage, after(restoring, now(disconnected{}), comesBack(&report{ID: "other", State: protocol.Running})), Failed, true, "restarted"},
		"PC away just short of the limit":             {RestoreImage, after(restoring, now(disconnected{}), later(lostAfter-1, away)), LostContact, true, ""},
		"PC never comes back":                         {RestoreImage, after(restoring, now(disconnected{}), later(lostAfter, away)), Incomplete, true, "did not come back within 10 minutes: its partition holds half an image"},
		"PC comes back too late":                      {RestoreImage, after(restoring, now(disconnected{}), later(lostAfter, away), comesBack(holding(dirtyReport(7, protocol.StageWriting, true)))), Incomplete, true, "fell silent"},
		"PC comes back too late, Done":                {RestoreImage, after(restoring, now(disconnected{}), later(lostAfter, away), comesBack(holding(final(9, protocol.Done)))), Incomplete, true, "fell silent"},
		"agent hangs while its connection stands":     {RestoreImage, after(restoring, later(silenceLimit, ready)), LostContact, true, ""},
		"agent that hung goes on":                     {RestoreImage, after(restoring, later(silenceLimit, ready), writing(5)), Running, true, ""},
		"agent hangs for good":                        {RestoreImage, after(restoring, later(silenceLimit, ready), later(lostAfter, ready)), Incomplete, true, "fell silent in the middle of writing"},
		"instruction lost with the connection":        {RestoreImage, after(plan, now(disconnected{}), comesBack(nil)), Waiting, false, ""},
		"instruction lost, sent again, then begun":    {RestoreImage, after(plan, now(disconnected{}), comesBack(nil), arrives, says(1, protocol.StagePreflight)), Running, false, ""},
		"PC cannot be reached at first":               {RestoreImage, []moment{now(ready), now(sendResult{errors.New("gone")})}, Waiting, false, ""},
		"PC cannot be reached for ten minutes":        {RestoreImage, []moment{now(ready), now(sendResult{errors.New("gone")}), later(lostAfter, away)}, Incomplete, false, "could not be sent"},
		"every attempt to send fails":                 {RestoreImage, []moment{now(ready), now(sendResult{errors.New("full")}), later(lostAfter-1, ready), now(sendResult{errors.New("full")}), later(1, ready)}, Incomplete, false, "could not be sent"},
		"PC ignores three copies of the instruction":  {RestoreImage, after(plan, later(takeLimit, ready), arrives, later(takeLimit, ready), arrives, later(silenceLimit, ready)), Failed, false, "sent the instruction 3 times"},
		"PC restarts whenever it gets it":             {RestoreImage, after(plan, comesBack(nil), arrives, comesBack(nil), arrives, comesBack(nil)), Failed, false, "3 times"},
		"PC gone after the instruction was sent":      {RestoreImage, after(plan, now(disconnected{}), later(lostAfter, away)), Incomplete, false, "whether it had begun is not known"},
		"the sending never ends":                      {RestoreImage, []moment{now(ready), later(lostAfter, away)}, Incomplete, false, "could not be sent"},
		"a PC that was missing at the start connects": {RestoreImage, []moment{now(away), comesBack(nil), arrives, says(1, protocol.StagePreflight)}, Running, false, ""},

		"cancelled before it was sent":           {RestoreImage, []moment{now(cancelAsked{})}, Cancelled, false, ""},
		"cancelled while it was being sent":      {RestoreImage, []moment{now(ready), now(cancelAsked{}), now(sendResult{errWithdrawn})}, Cancelled, false, ""},
		"cancelled, PC has not answered":         {RestoreImage, after(restoring, now(cancelAsked{})), Running, true, ""},
		"cancelled, PC stopped":                  {RestoreImage, after(restoring, now(cancelAsked{}), ends(3, protocol.Cancelled)), Cancelled, true, ""},
		"cancelled too late":                     {RestoreImage, after(restoring, now(cancelAsked{}), verified(3, used)), Done, false, ""},
		"cancelled, PC lost power in its checks": {RestoreImage, after(plan, says(1, protocol.StagePreflight), now(cancelAsked{}), comesBack(nil)), Failed, false, "had written nothing to its disk when it was last heard"},
		"cancelled, capturing PC lost power":     {CreateImage, after(capturing, now(cancelAsked{}), comesBack(nil)), Cancelled, false, ""},
		"cancelled, instruction lost":            {RestoreImage, after(plan, now(cancelAsked{}), comesBack(nil)), Cancelled, false, ""},
		"cancelled, PC lost power as it wrote":   {RestoreImage, after(restoring, now(cancelAsked{}), comesBack(nil)), Failed, true, "restarted"},
		"cancelled, PC never took it":            {RestoreImage, after(plan, now(cancelAsked{}), later(takeLimit, ready)), Cancelled, false, ""},
		"cancelled after it was Done":            {RestoreImage, after(restoring, verified(3, used), now(cancelAsked{})), Done, false, ""},
		"cancelled while the PC is away":         {RestoreImage, after(restoring, now(disconnected{}), now(cancelAsked{})), LostContact, true, ""},

		"server restarts before it has sent":                    {RestoreImage, []moment{now(restarted{})}, Waiting, false, ""},
		"server restarts while it sends":                        {RestoreImage, []moment{now(ready), now(restarted{})}, Waiting, false, ""},
		"server restarts while it sends, PC has begun":          {RestoreImage, []moment{now(ready), now(restarted{}), comesBack(holding(running(1, protocol.StagePreflight)))}, Running, false, ""},
		"server restarts while it sends, cancel asked":          {RestoreImage, []moment{now(ready), now(cancelAsked{}), now(restarted{})}, Cancelled, false, ""},
		"server restarts in the middle of a restore":            {RestoreImage, after(restoring, now(restarted{})), LostContact, true, ""},
		"server restarts, PC works on":                          {RestoreImage, after(restoring, now(restarted{}), comesBack(holding(dirtyReport(9, protocol.StageWriting, true)))), Running, true, ""},
		"server restarts, PC has finished":                      {RestoreImage, after(restoring, now(restarted{}), comesBack(holding(final(9, protocol.Done)))), Done, false, ""},
		"server restarts, PC restarted too":                     {RestoreImage, after(restoring, now(restarted{}), comesBack(nil)), Failed, true, "restarted in the middle"},
		"server restarts, PC never seen again":                  {RestoreImage, after(restoring, now(restarted{}), later(lostAfter, away)), Incomplete, true, "did not come back"},
		"server restarts in the middle of a capture":            {CreateImage, after(capturing, now(restarted{})), LostContact, false, ""},
		"server restarts as it publishes":                       {CreateImage, after(capturing, ends(2, protocol.Done), now(restarted{})), Failed, false, "server restarted before it could record"},
		"server restarts after publishing, PC confirms":         {CreateImage, after(capturing, now(image3), now(restarted{}), comesBack(holding(final(9, protocol.Done)))), Done, false, ""},
		"server restarts after publishing, PC has forgotten":    {CreateImage, after(capturing, now(image3), now(restarted{}), comesBack(nil)), Incomplete, false, "revision 3 of the image is published and whole"},
		"server restarts after publishing, PC never seen again": {CreateImage, after(capturing, now(image3), now(restarted{}), later(lostAfter, away)), Incomplete, false, "revision 3"},

		"capture published, PC has not confirmed":        {CreateImage, after(capturing, now(image3)), Running, false, ""},
		"capture published, then confirmed":              {CreateImage, after(capturing, now(image3), ends(2, protocol.Done)), Done, false, ""},
		"capture confirmed, not published":               {CreateImage, after(capturing, ends(2, protocol.Done)), Running, false, ""},
		"capture confirmed, then published":              {CreateImage, after(capturing, ends(2, protocol.Done), now(image3)), Done, false, ""},
		"capture confirmed, PC off, then published":      {CreateImage, after(capturing, ends(2, protocol.Done), now(disconnected{}), now(image3)), Done, false, ""},
		"capture confirmed and never published":          {CreateImage, after(capturing, ends(2, protocol.Done), later(lostAfter, ready)), Incomplete, false, "did not record within 10 minutes"},
		"capture confirmed for ever and never published": {CreateImage, after(capturing, ends(2, protocol.Done), later(lostAfter/2, ready), ends(2, protocol.Done), later(lostAfter/2, ready)), Incomplete, false, "did not record"},
		"another image published":                        {CreateImage, after(capturing, ends(2, protocol.Done), now(published{imagestore.Image{Name: "other", Revision: 1}})), Running, false, ""},
		"repository full, PC says so":                    {CreateImage, after(capturing, now(full), ends(2, protocol.Failed)), Failed, false, "cannot read sector 7"},
		"repository full, PC says nothing":               {CreateImage, after(capturing, now(full), later(excuseLimit, ready)), Failed, false, "repository full"},
		"repository full, PC claims Done":                {CreateImage, after(capturing, now(full), ends(2, protocol.Done)), Failed, false, "repository full"},
		"PC claims Done, publishing fails":               {CreateImage, after(capturing, ends(2, protocol.Done), now(full)), Failed, false, "repository full"},
		"upload cut because the PC lost power":           {CreateImage, after(capturing, now(disconnected{}), now(full)), Failed, false, "repository full"},
		"upload cut, then the PC is back without it":     {CreateImage, after(capturing, now(full), comesBack(nil)), Failed, false, "repository full"},
		"upload cut by a cancel":                         {CreateImage, after(capturing, now(cancelAsked{}), now(full), ends(2, protocol.Cancelled)), Cancelled, false, ""},
		"upload cut by a cancel, PC says nothing":        {CreateImage, after(capturing, now(cancelAsked{}), now(full), later(excuseLimit, ready)), Cancelled, false, ""},
		"power cut while a capture reads":                {CreateImage, after(capturing, now(disconnected{}), comesBack(nil)), Failed, false, "restarted in the middle of reading: no image was made"},
		"capture cancelled after it was published":       {CreateImage, after(capturing, now(cancelAsked{}), now(image3), ends(2, protocol.Cancelled)), Cancelled, false, "revision 3"},
		"publishing keeps a silent PC's capture running": {CreateImage, after(capturing, later(silenceLimit-1, publishing{1, 2}), later(silenceLimit-1, ready)), Running, false, ""},

		"restart acknowledged":                       {Reboot, after(plan, ends(1, protocol.Done)), Done, false, ""},
		"restart without a word":                     {Reboot, after(plan, now(disconnected{})), Done, false, ""},
		"restart so fast that it was not missed":     {Reboot, after(plan, comesBack(nil)), Done, false, ""},
		"restart refused":                            {Reboot, after(plan, ends(1, protocol.Failed)), Failed, false, "sector 7"},
		"restart that does nothing":                  {Reboot, after(plan, later(obeyLimit, ready)), Incomplete, false, "still there"},
		"connection lost before restart was sent":    {Reboot, []moment{now(ready), now(disconnected{}), now(sendResult{errors.New("gone")})}, Waiting, false, ""},
		"switched off while the server restarts":     {PowerOff, after(plan, now(restarted{}), later(lostAfter, away)), Done, false, ""},
		"server restarts before it knows of sending": {PowerOff, []moment{now(ready), now(restarted{}), comesBack(nil)}, Waiting, false, ""},
		"PC that says it will restart and hangs":     {Reboot, after(plan, says(1, ""), later(silenceLimit, ready), later(lostAfter, ready)), Incomplete, false, "fell silent"},
		"own disk booted":                            {BootDisk, after(plan, now(disconnected{})), Done, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := play(newPart(test.kind), test.moments)
			if p.State != test.state || p.Dirty != test.dirty {
				t.Errorf("got %s (dirty %v), want %s (dirty %v); failure %v", p.State, p.Dirty, test.state, test.dirty, p.Failure)
			}
			switch {
			case test.reason == "" && p.Failure != nil:
				t.Errorf("got failure %q, want none", p.Failure)
			case test.reason != "" && p.Failure == nil:
				t.Errorf("got no failure, want one with %q", test.reason)
			case test.reason != "" && !strings.Contains(p.Failure.Problem, test.reason):
				t.Errorf("got failure %q, want %q in it", p.Failure.Problem, test.reason)
			}
			if p.Failure != nil && (p.Failure.Code == 0 || p.Failure.Advice == "") {
				t.Errorf("failure %+v lacks a code or advice", *p.Failure)
			}
			if ended(p.State) != !p.Ended.IsZero() {
				t.Errorf("state %s and end %v do not go together", p.State, p.Ended)
			}
		})
	}
}

// play lets the moments pass and answers the part and the effects of the last one.
func play(p part, moments []moment) (part, []effect) {
	r := rules{lostAfter: lostAfter}
	var effects []effect
	at := t0
	for _, m := range moments {
		at = at.Add(m.after)
		p, effects = r.step(p, m.event, at)
	}
	return p, effects
}

func TestEffects(t *testing.T) {
	t.Parallel()
	restoring := after(plan, writing(2))
	hastyReport := []moment{now(ready), now(cancelAsked{})}
	lost := after(restoring, now(disconnected{}), later(lostAfter, away))
	for name, test := range map[string]struct {
		kind    string
		moments []moment
		want    []effect
	}{
		"planned":          {RestoreImage, []moment{now(ready)}, []effect{instruct}},
		"planned, PC away": {RestoreImage, []moment{now(away)}, nil},
		"progress":         {RestoreImage, restoring, nil},
		"verdict":          {RestoreImage, after(restoring, verified(3, used)), []effect{settle}},
		"verdict repeated because settle was lost":    {RestoreImage, after(restoring, verified(3, used), verified(3, used)), []effect{settle}},
		"verdict held by a PC that comes back":        {RestoreImage, after(restoring, verified(3, used), comesBack(holding(final(3, protocol.Done)))), []effect{settle}},
		"capture confirmed and not yet published":     {CreateImage, after(plan, ends(2, protocol.Done)), nil},
		"capture published at last":                   {CreateImage, after(plan, ends(2, protocol.Done), now(image3)), []effect{settle}},
		"cancel while it runs":                        {RestoreImage, after(restoring, now(cancelAsked{})), []effect{cancel}},
		"cancel asked twice":                          {RestoreImage, after(restoring, now(cancelAsked{}), now(cancelAsked{})), []effect{cancel}},
		"cancel while it is being sent":               {RestoreImage, []moment{now(ready), now(cancelAsked{})}, nil},
		"cancel once it was sent":                     {RestoreImage, []moment{now(ready), now(cancelAsked{}), arrives}, []effect{cancel}},
		"cancel once a report shows that it was sent": {RestoreImage, after(hastyReport, now(reported{running(1, "")})), []effect{cancel}},
		"cancel shown by a report, then sent":         {RestoreImage, after(hastyReport, now(reported{running(1, "")}), arrives), nil},
		"cancel and a verdict that was faster":        {RestoreImage, after(hastyReport, ends(1, protocol.Failed)), []effect{settle}},
		"cancel while it is being sent, PC is back":   {RestoreImage, after(hastyReport, comesBack(holding(running(1, "")))), []effect{cancel}},
		"cancel not repeated at once":                 {RestoreImage, after(restoring, now(cancelAsked{}), later(cancelAgain-1, ready)), nil},
		"cancel repeated":                             {RestoreImage, after(restoring, now(cancelAsked{}), later(cancelAgain, ready)), []effect{cancel}},
		"cancel repeated, PC is not there":            {RestoreImage, after(restoring, now(cancelAsked{}), later(cancelAgain, away)), nil},
		"cancel repeated only now and then":           {RestoreImage, after(restoring, now(cancelAsked{}), later(cancelAgain, ready), later(tickInterval, ready)), nil},
		"cancel of a PC that hung and goes on":        {RestoreImage, after(restoring, later(silenceLimit, ready), now(cancelAsked{}), writing(5), later(tickInterval, ready)), []effect{cancel}},
		"no cancel, nothing to repeat":                {RestoreImage, after(restoring, later(cancelAgain, ready)), nil},
		"cancel while the PC is away":                 {RestoreImage, after(restoring, now(disconnected{}), now(cancelAsked{})), nil},
		"cancel once the PC is back":                  {RestoreImage, after(restoring, now(disconnected{}), now(cancelAsked{}), comesBack(holding(running(3, "")))), []effect{cancel}},
		"cancel of own disk before it was sent":       {BootDisk, []moment{now(cancelAsked{})}, []effect{resetBoot}},
		"own disk booted":                             {BootDisk, after(plan, now(disconnected{})), []effect{settle}},
		"PC given up works on":                        {RestoreImage, after(lost, comesBack(holding(dirtyReport(9, "", true)))), []effect{cancel}},
		"PC given up is told to stop once":            {RestoreImage, after(lost, comesBack(holding(dirtyReport(9, "", true))), writing(10)), nil},
		"PC given up is told again when it is back":   {RestoreImage, after(lost, comesBack(holding(dirtyReport(9, "", true))), comesBack(holding(dirtyReport(11, "", true)))), []effect{cancel}},
		"PC given up has stopped":                     {RestoreImage, after(lost, comesBack(holding(dirtyReport(9, "", true))), ends(10, protocol.Cancelled)), []effect{settle}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, got := play(newPart(test.kind), test.moments); !slices.Equal(got, test.want) {
				t.Errorf("got effects %v, want %v", got, test.want)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	at := func(seq uint64, stage string, done int64) moment {
		return now(reported{report{ID: newPart(Reboot).Instruct.ID, Seq: seq, State: protocol.Running, Stage: stage, Bytes: done, Total: 100, Rate: 7}})
	}
	for name, test := range map[string]struct {
		kind    string
		moments []moment
		stage   string
		bytes   int64
	}{
		"grows":                         {RestoreImage, after(plan, at(1, "writing", 10), at(2, "writing", 20)), "writing", 20},
		"never goes back in a stage":    {RestoreImage, after(plan, at(1, "writing", 20), at(2, "writing", 10)), "writing", 20},
		"begins anew in the next stage": {RestoreImage, after(plan, at(1, "writing", 20), at(2, "verifying", 5)), "verifying", 5},
		"report that arrives twice":     {RestoreImage, after(plan, at(2, "writing", 20), at(2, "writing", 30)), "writing", 20},
		"report that arrives late":      {RestoreImage, after(plan, at(2, "verifying", 5), at(1, "writing", 99)), "verifying", 5},
		"the server publishes":          {CreateImage, after(plan, at(1, "reading", 99), now(publishing{10, 50})), "publishing", 10},
		"the PC waits meanwhile":        {CreateImage, after(plan, now(publishing{10, 50}), at(2, "reading", 100)), "publishing", 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if p, _ := play(newPart(test.kind), test.moments); p.Stage != test.stage || p.Bytes != test.bytes {
				t.Errorf("got %s %d, want %s %d", p.Stage, p.Bytes, test.stage, test.bytes)
			}
		})
	}
}

func TestOverallState(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		states []string
		want   string
	}{
		{[]string{Waiting, Waiting}, Running},
		{[]string{Done, LostContact}, Running},
		{[]string{Done, Done}, Done},
		{[]string{Done, Cancelled}, Cancelled},
		{[]string{Cancelled, Incomplete, Done}, Incomplete},
		{[]string{Incomplete, Failed, Done}, Failed},
		{[]string{Failed, Running}, Running},
	} {
		if got := overall(test.states); got != test.want {
			t.Errorf("%v: got %s, want %s", test.states, got, test.want)
		}
	}
}
