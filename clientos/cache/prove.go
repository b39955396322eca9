package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"aula/clientos/protocol"
)

// Proved is when the file of an image that Find finds was last read back from the disk; zero when that is not known.
func (o *Open) Proved(image protocol.Image) time.Time {
	r, ok := o.shelf.recorded(image.Name)
	if !ok || r.Digest != image.Digest {
		return time.Time{}
	}
	return r.Proved
}

// Prove reads the file of an image that Find finds from the disk, and tells whether it is still that image; one that is not, or that cannot be read, is
// removed. progress, when not nil, is told the bytes that were read back. When ctx ends first nothing is changed.
func (o *Open) Prove(ctx context.Context, image protocol.Image, progress func(done int64)) (sound bool, err error) {
	path, found := o.Find(image)
	if !found {
		return false, nil
	}
	r, err := o.shelf.examine(ctx, image, path, progress)
	if err != nil && ctx.Err() != nil {
		return false, fmt.Errorf("reading image %s back from the cache: %w", image.Name, context.Cause(ctx))
	}
	if err != nil || r.Digest != image.Digest {
		o.cache.log.Warn("an image in the cache is damaged", "image", image.Name, "digest", r.Digest, "want", image.Digest, "err", err)
		return false, o.Remove(image.Name)
	}
	o.cache.files.Lock()
	defer o.cache.files.Unlock()
	if err := o.shelf.renew(r, path); err != nil {
		return false, failed("the record of image "+image.Name+" cannot be written to the cache", err)
	}
	return true, nil
}

// renew replaces the record of the image at path.
func (s shelf) renew(r record, path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	beside := path + recordSuffix + ".new"
	if err := s.writeFile(beside, append(data, '\n')); err != nil {
		return errors.Join(err, s.unlink(beside))
	}
	if err := s.rename(beside, path+recordSuffix); err != nil {
		return err
	}
	return s.syncDir()
}
