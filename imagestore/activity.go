package imagestore

import "time"

// progressEvery is the least time between two calls of Options.Changed for progress of one image.
const progressEvery = 300 * time.Millisecond

// An activity is something under way with the file of an image. Its fields belong to the repository's mu.
type activity struct {
	repo        *Repository
	name        string
	state       State // Arriving or Processing
	done, total int64
	told        time.Time
}

// begin notes that something is under way.
func (r *Repository) begin(name string, state State) *activity {
	a := &activity{repo: r, name: name, state: state}
	r.mu.Lock()
	r.activities[a] = true
	r.mu.Unlock()
	r.tell(name)
	return a
}

// become says that another stage begins.
func (a *activity) become(state State) {
	a.repo.mu.Lock()
	a.state, a.done, a.total, a.told = state, 0, 0, time.Time{}
	a.repo.mu.Unlock()
}

// progress says how far it is.
func (a *activity) progress(done, total int64) {
	r := a.repo
	now := r.now()
	r.mu.Lock()
	a.done, a.total = done, total
	tell := now.Sub(a.told) >= progressEvery
	if tell {
		a.told = now
	}
	r.mu.Unlock()
	if tell {
		r.tell(a.name)
	}
}

// end says that nothing of it is under way any more.
func (a *activity) end() {
	a.repo.mu.Lock()
	delete(a.repo.activities, a)
	a.repo.mu.Unlock()
	a.repo.tell(a.name)
}

// tell says that the standing of an image has changed. mu must not be held.
func (r *Repository) tell(name string) {
	if changed := r.opt.Changed; changed != nil {
		changed(name)
	}
}
