package webui

import "github.com/labstack/echo/v4"

// routePages puts the console's pages on the router. What each asks of its caller is in access.go.
func (s *Server) routePages(e *echo.Echo) {
	e.GET("/assets/*", s.serveAsset)
	e.GET("/setup", s.showSetup)
	e.POST("/setup", s.setUp)
	e.GET("/login", s.showLogin)
	e.POST("/login", s.logIn)
	e.POST("/logout", s.logOut)
	e.GET("/events", s.serveEvents)

	e.GET("/", s.showOverview)
	e.GET("/classrooms/:id", s.showRoom)
	e.GET("/rooms", s.showRooms)
	e.POST("/centres", s.addCentre)
	e.POST("/centres/:id", s.renameCentre)
	e.POST("/centres/:id/remove", s.removeCentre)
	e.POST("/classrooms", s.addClassroom)
	e.POST("/classrooms/:id", s.renameClassroom)
	e.POST("/classrooms/:id/remove", s.removeClassroom)

	e.GET("/pending", s.showPending)
	e.POST("/pending", s.acceptPending)
	e.GET("/computers/:id", s.showComputer)
	e.POST("/computers/:id", s.editComputer)
	e.POST("/computers/:id/remove", s.removeComputer)

	e.GET("/images", s.showImages)
	e.GET("/images/:name", s.showImage)
	e.POST("/images/:name", s.editImage)
	e.POST("/images/:name/remove", s.dropImage)

	e.GET("/capture", s.showCapture)
	e.GET("/capture/name", s.checkImageName)
	e.POST("/capture", s.startCapture)
	e.GET("/restore", s.showRestore)
	e.GET("/restore/check", s.checkRestore)
	e.POST("/restore", s.startRestore)
	e.GET("/power", s.showPower)
	e.POST("/power", s.startPower)

	e.GET("/operations", s.showOperations)
	e.GET("/operations/:id", s.showOperation)
	e.POST("/operations/:id/cancel", s.cancelOperation)

	e.GET("/settings", s.showSettings)
	e.POST("/settings/password", s.changePassword)
	e.POST("/settings/users", s.addConsoleUser)
}
