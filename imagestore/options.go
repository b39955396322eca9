package imagestore

// Name is that by which people and instructions call the repository.
func (r *Repository) Name() string { return r.opt.Name }

// Address is where PCs fetch from; empty for the appliance's own address.
func (r *Repository) Address() string { return r.Options().Address }

// Options returns how the repository is kept now.
func (r *Repository) Options() Options {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.opt
}

// SetOptions changes Reserve, Keep, Trash, Settle, Announce and Address of an open repository; the other fields are left as
// they are. Torrents name a new tracker as soon as Run has come to it, and what is kept no longer goes within an hour.
func (r *Repository) SetOptions(opt Options) {
	r.mu.Lock()
	r.opt.Reserve, r.opt.Keep, r.opt.Trash = opt.Reserve, opt.Keep, opt.Trash
	r.opt.Settle, r.opt.Announce, r.opt.Address = opt.Settle, opt.Announce, opt.Address
	r.mu.Unlock()
	r.nudge()
}
