/** What MLflow's clients said of a version is kept in tags that are none to them; the logged model that it is of. */
export const modelIdTag = 'keelson.mlflow.model_id';
