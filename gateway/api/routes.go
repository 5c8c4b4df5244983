package api

// routes registers every operation; each resource has its own file.
func (a *API) routes() {
	a.sessionRoutes()
	a.conversationRoutes()
	a.toolRoutes()
	a.callRoutes()
	a.supervisionRoutes()
	a.senderRoutes()
	a.templateRoutes()
	a.fileRoutes()
	a.directoryRoutes()
	a.contactRoutes()
	a.userRoutes()
	a.teamRoutes()
	a.skillRoutes()
	a.serviceRoutes()
	a.accountRoutes()
	a.pluginRoutes()
	a.boardRoutes()
	a.auditRoutes()
	a.applyRoutes()
	a.doctorRoutes()
}
