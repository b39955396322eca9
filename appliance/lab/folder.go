package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const folderPattern = "aula-lab-*"

// A folder is a temporary folder that is locked for as long as its process lives, so that others can tell that
// it is abandoned.
type folder struct {
	path string
	lock *os.File // the folder itself
}

// makeFolder makes a folder in dir, after it has removed those that dead processes left there.
func makeFolder(dir string) (*folder, error) {
	if err := sweepFolders(dir); err != nil {
		return nil, err
	}
	for {
		path, err := os.MkdirTemp(dir, folderPattern)
		if err != nil {
			return nil, fmt.Errorf("folder for the virtual classroom: %w", err)
		}
		f, err := lockFolder(path)
		if err != nil {
			return nil, fmt.Errorf("lock the virtual classroom's folder: %w", err)
		}
		if f != nil {
			return f, nil
		}
		// Somebody's sweep took it in the instant before it was locked.
	}
}

// lockFolder returns nil without an error when another process has the lock, or when the folder is gone.
func lockFolder(path string) (*folder, error) {
	d, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		// What was locked may have been removed meanwhile; then the name is no longer its.
		var opened, named os.FileInfo
		if opened, err = d.Stat(); err == nil {
			if named, err = os.Stat(path); err == nil && os.SameFile(opened, named) {
				return &folder{path: path, lock: d}, nil
			}
		}
	}
	d.Close()
	if err == nil || errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}

// remove removes the folder with all that is in it.
func (f *folder) remove() error {
	return errors.Join(os.RemoveAll(f.path), f.lock.Close())
}

// sweepFolders removes the folders in dir whose processes are dead.
func sweepFolders(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, folderPattern))
	if err != nil {
		return err
	}
	for _, path := range paths {
		f, err := lockFolder(path)
		if err == nil && f != nil {
			err = f.remove()
		}
		if err != nil {
			return fmt.Errorf("remove what a former virtual classroom left in %s: %w", path, err)
		}
	}
	return nil
}
