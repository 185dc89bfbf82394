// The course in the words of Airbyte's Java SDK. Reports lines of JSON, as speaking.py does.

import com.airbyte.api.Airbyte;
import com.airbyte.api.models.operations.CancelJobRequest;
import com.airbyte.api.models.operations.DeleteConnectionRequest;
import com.airbyte.api.models.operations.DeleteDestinationRequest;
import com.airbyte.api.models.operations.DeleteSourceRequest;
import com.airbyte.api.models.operations.GetConnectionRequest;
import com.airbyte.api.models.operations.GetJobRequest;
import com.airbyte.api.models.operations.ListJobsRequest;
import com.airbyte.api.models.operations.ListWorkspacesRequest;
import com.airbyte.api.models.shared.ConnectionCreateRequest;
import com.airbyte.api.models.shared.ConnectionResponse;
import com.airbyte.api.models.shared.ConnectionSchedule;
import com.airbyte.api.models.shared.ConnectionSyncModeEnum;
import com.airbyte.api.models.shared.DestinationCreateRequest;
import com.airbyte.api.models.shared.JobCreateRequest;
import com.airbyte.api.models.shared.JobResponse;
import com.airbyte.api.models.shared.JobStatusEnum;
import com.airbyte.api.models.shared.JobTypeEnum;
import com.airbyte.api.models.shared.ScheduleTypeEnum;
import com.airbyte.api.models.shared.Security;
import com.airbyte.api.models.shared.SourceCreateRequest;
import com.airbyte.api.models.shared.SourceFaker;
import com.airbyte.api.models.shared.SourceFakerFaker;
import com.airbyte.api.models.shared.StreamConfiguration;
import com.airbyte.api.models.shared.StreamConfigurations;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

class JavaSdk {
    static final ObjectMapper JSON = new ObjectMapper();
    static final BufferedReader ANSWERS = new BufferedReader(new InputStreamReader(System.in));
    static final String SERVER_URL = System.getenv("AIRBYTE_SERVER_URL");
    static final String WORKSPACE_ID = System.getenv("AIRBYTE_WORKSPACE_ID");
    static Airbyte airbyte;

    static void report(String name, Object value) throws Exception {
        System.out.println(JSON.writeValueAsString(Map.of("report", Map.of(name, value))));
    }

    static void ask(String what) throws Exception {
        System.out.println(JSON.writeValueAsString(Map.of("ask", what)));
        if (ANSWERS.readLine() == null) throw new IllegalStateException("the test is gone");
    }

    /** This SDK leaves signing in to its user. */
    static String token() throws Exception {
        Map<String, String> credentials = Map.of(
            "client_id", System.getenv("AIRBYTE_CLIENT_ID"), "client_secret", System.getenv("AIRBYTE_CLIENT_SECRET"));
        HttpRequest request = HttpRequest.newBuilder(URI.create(SERVER_URL + "/applications/token"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(JSON.writeValueAsString(credentials)))
            .build();
        String answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
        return JSON.readTree(answer).get("access_token").asText();
    }

    static String destination(String name, Map<String, String> configuration) throws Exception {
        var made = airbyte.destinations.createDestination(
            new DestinationCreateRequest(configuration, name, WORKSPACE_ID)).destinationResponse;
        report(name, List.of(made.destinationType, made.configuration));
        return made.destinationId;
    }

    static StreamConfiguration stream(String name) {
        StreamConfiguration stream = new StreamConfiguration(name);
        stream.syncMode = ConnectionSyncModeEnum.FULL_REFRESH_OVERWRITE;
        return stream;
    }

    static JobResponse start(String connectionId, JobTypeEnum kind) throws Exception {
        return airbyte.jobs.createJob(new JobCreateRequest(connectionId, kind)).jobResponse;
    }

    static JobResponse finish(JobResponse job) throws Exception {
        List<JobStatusEnum> ended = List.of(JobStatusEnum.SUCCEEDED, JobStatusEnum.FAILED, JobStatusEnum.CANCELLED);
        while (!ended.contains(job.status)) {
            Thread.sleep(100);
            job = airbyte.jobs.getJob(new GetJobRequest(job.jobId)).jobResponse;
        }
        return job;
    }

    public static void main(String[] arguments) throws Exception {
        airbyte = Airbyte.builder().setServerURL(SERVER_URL).setSecurity(new Security("Bearer " + token())).build();

        var workspaces = airbyte.workspaces.listWorkspaces(new ListWorkspacesRequest()).workspacesResponse.data;
        report("workspaces", Arrays.stream(workspaces).map(workspace -> workspace.workspaceId).toList());

        SourceFaker faker = new SourceFaker(35L, SourceFakerFaker.FAKER);
        String sourceId = airbyte.sources.createSource(
            new SourceCreateRequest(faker, "my_source_faker_using_api", WORKSPACE_ID)).sourceResponse.sourceId;
        // The SDK has no class for these two; any object is a configuration.
        String motherduckId = destination("my_motherduck_using_api", Map.of(
            "destinationType", "motherduck", "destination_path", "md:lms", "motherduck_api_key", "a-token"));
        String destinationId = destination("my_duck_using_api", Map.of(
            "destinationType", "duckdb", "destination_path", "lms.duckdb"));

        ConnectionCreateRequest wanted = new ConnectionCreateRequest(destinationId, sourceId);
        wanted.name = "my_connection_using_api";
        wanted.schedule = new ConnectionSchedule(ScheduleTypeEnum.MANUAL);
        wanted.configurations = new StreamConfigurations();
        wanted.configurations.streams = new StreamConfiguration[] {
            stream("users"), stream("products"), stream("purchases")};
        ConnectionResponse connection = airbyte.connections.createConnection(wanted).connectionResponse;
        report("connection_streams", Arrays.stream(connection.configurations.streams).map(one -> one.name).toList());

        JobResponse synced = start(connection.connectionId, JobTypeEnum.SYNC);
        report("started", synced.status.value);
        synced = finish(synced);
        report("synced", List.of(synced.status.value, synced.rowsSynced));
        ask("count");
        JobResponse emptied = finish(start(connection.connectionId, JobTypeEnum.RESET));
        report("emptied", List.of(emptied.status.value, emptied.jobType.value));
        ask("count");
        ListJobsRequest all = new ListJobsRequest(connection.connectionId);
        report("jobs", Arrays.stream(airbyte.jobs.listJobs(all).jobsResponse.data).map(job -> job.jobType.value).toList());
        report("cancelled_too_late",
            airbyte.jobs.cancelJob(new CancelJobRequest(synced.jobId)).jobResponse.status.value);

        report("deleted", List.of(
            airbyte.connections.deleteConnection(new DeleteConnectionRequest(connection.connectionId)).statusCode,
            airbyte.sources.deleteSource(new DeleteSourceRequest(sourceId)).statusCode,
            airbyte.destinations.deleteDestination(new DeleteDestinationRequest(destinationId)).statusCode,
            airbyte.destinations.deleteDestination(new DeleteDestinationRequest(motherduckId)).statusCode));
        report("gone", airbyte.connections.getConnection(
            new GetConnectionRequest(connection.connectionId)).connectionResponse.status.value);
    }
}
