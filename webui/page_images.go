package webui

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"
)

type imagesPage struct {
	page
	Images []imageView
	Free   string
}

type imagePage struct {
	page
	Image   imageView
	Work    []head
	Problem string
}

type imageView struct {
	describedImage
	ID      string // canonical name
	Path    string
	Display string
	From    string // PC, disk and partition
}

func viewImage(img describedImage) imageView {
	v := imageView{describedImage: img, ID: img.Name, Path: "/images/" + url.PathEscape(img.Name), Display: img.Said.DisplayName}
	if v.Display == "" {
		v.Display = v.ID
	}
	if img.Source.Computer != "" {
		v.From = img.Source.Computer
		if img.Source.Disk > 0 {
			v.From += fmt.Sprintf(", disk %d, partition %d", img.Source.Disk, img.Source.Partition)
		}
	}
	return v
}

func (s *Server) showImages(c echo.Context) error {
	v := imagesPage{page: s.page(c, "images", "Images")}
	images, err := s.images()
	if err != nil {
		return err
	}
	for _, img := range images {
		v.Images = append(v.Images, viewImage(img))
	}
	if free, err := s.cfg.Images.Free(""); err == nil {
		v.Free = size(free)
	}
	return s.render(c, http.StatusOK, "images", v)
}

func (s *Server) showImage(c echo.Context) error { return s.imagePage(c, http.StatusOK, "") }

func (s *Server) imagePage(c echo.Context, status int, problem string) error {
	v := imagePage{page: s.page(c, "images", ""), Problem: problem}
	img, err := s.image(c.Param("name"))
	if err != nil {
		return err
	}
	v.Image = viewImage(img)
	v.Title, v.Path = v.Image.Display, v.Image.Path
	for _, op := range s.cfg.Operations.Operations(recentOperations) {
		if op.Image == v.Image.ID && len(v.Work) < shownOperations {
			v.Work = append(v.Work, operationHead(op, s.now()))
		}
	}
	return s.render(c, status, "image", v)
}

func (s *Server) editImage(c echo.Context) error {
	name := c.Param("name")
	err := s.describeImage(c.Request().Context(), name, c.FormValue("display"), c.FormValue("comments"))
	return s.afterImage(c, err, "/images/"+url.PathEscape(name)+"?did=saved")
}

// dropImage removes an image when its name was typed to confirm it.
func (s *Server) dropImage(c echo.Context) error {
	name := c.Param("name")
	err := error(invalid("type the image's name, %s, to remove it", name))
	if c.FormValue("confirm") == name {
		err = s.removeImage(c.Request().Context(), name)
	}
	return s.afterImage(c, err, "/images?did=removed")
}

func (s *Server) afterImage(c echo.Context, err error, next string) error {
	if err == nil {
		return s.goTo(c, next)
	}
	if status := statusOf(err); status == http.StatusInternalServerError || status == http.StatusNotFound {
		return err
	}
	return s.imagePage(c, statusOf(err), textOf(err))
}
