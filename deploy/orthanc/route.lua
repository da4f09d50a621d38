-- Auto-route of the test PACS: every MR series that became stable goes to the node, and
-- every segmentation, for a reader may have corrected ours.
--
-- A site keeps the test on the sender: without it the node's own results are sent back
-- to the node. That does no harm (the node never analyses them again), but it is noise.
-- SendToModality of Orthanc 1.10 takes instance ids only, hence the REST call.
ROUTE_EVERYTHING = false

function OnStableSeries(seriesId, tags, metadata)
  local first = ParseJson(RestApiGet('/series/' .. seriesId))['Instances'][1]
  local about = ParseJson(RestApiGet('/instances/' .. first .. '/metadata?expand'))
  local sender = about['RemoteAET'] or ''
  local wanted = tags['Modality'] == 'MR' or tags['Modality'] == 'SEG'
  if ROUTE_EVERYTHING or (wanted and sender ~= 'LUMBAR_AI') then
    RestApiPost('/modalities/ainode/store',
                DumpJson({Resources = {seriesId}, Asynchronous = true}, true))
  end
end
