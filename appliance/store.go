package appliance

import (
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/appliance/upkeep"
	"aula/imagestore"
)

// uploadsDir is where, in the first repository's folder, the files lie that browsers are sending: on its volume, so that taking them in
// need not copy them.
const uploadsDir = ".uploads"

// A store is the repositories with what works on them.
type store struct {
	images  *imagestore.Library
	uploads *incorporation.Uploads
	upkeep  *upkeep.Service
}

// openStore opens the first repository, which must be there, and those of the catalog, which need not. The caller closes the library.
func openStore(cfg Config, address netip.Addr, cat *catalog.Catalog, changes *changes, log *slog.Logger) (_ store, err error) {
	first, err := imagestore.Open(cfg.ImagesDir(), imagestore.Options{
		Name:    catalog.FirstRepository,
		Reserve: cfg.Repository.Reserve << 20, Keep: cfg.Repository.Keep,
		Trash:    time.Duration(cfg.Repository.TrashDays) * 24 * time.Hour,
		Settle:   time.Duration(cfg.Repository.Settle),
		Announce: cfg.Torrent.announce(address),
		Changed:  changes.image, Log: log.With("room", "imagestore"),
	})
	if err != nil {
		return store{}, err
	}
	s := store{images: imagestore.NewLibrary(first)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.images.Close())
		}
	}()
	if s.uploads, err = incorporation.OpenUploads(filepath.Join(first.Dir(), uploadsDir), first.Free, time.Now); err != nil {
		return store{}, err
	}
	s.upkeep, err = upkeep.New(upkeep.Config{
		Library: s.images, Catalog: cat, Uploads: s.uploads, Options: first.Options(),
		Changed: changes.task, Log: log.With("room", "upkeep"),
	})
	return s, err
}

// repositoryDefaults is how a repository is kept when nobody says otherwise.
func repositoryDefaults() catalog.Repository {
	usual := Defaults().Repository
	return catalog.Repository{Keep: usual.Keep, TrashDays: usual.TrashDays, ReserveMiB: usual.Reserve}
}
