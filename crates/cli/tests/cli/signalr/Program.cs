// Says its port, and ends when its standard input does.
// The arguments are the seconds between its pings, and after how many of silence it gives a peer up.

using System;
using System.Linq;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.SignalR;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

class Room : Hub
{
}

class Program
{
    static void Main(string[] args)
    {
        var times = args.Select(double.Parse).Select(TimeSpan.FromSeconds).ToArray();
        var host = Host.CreateDefaultBuilder()
            .ConfigureLogging(logging => logging.ClearProviders())
            .ConfigureWebHostDefaults(web => web
                .UseUrls("http://127.0.0.1:0")
                .ConfigureServices(services => services.AddSignalR(options =>
                {
                    options.KeepAliveInterval = times[0];
                    options.ClientTimeoutInterval = times[1];
                }))
                .Configure(app => app
                    .UseRouting()
                    .UseEndpoints(endpoints => endpoints.MapHub<Room>("/room"))))
            .Build();
        host.Start();
        var server = host.Services.GetRequiredService<IServer>();
        var url = server.Features.Get<IServerAddressesFeature>().Addresses.First();
        Console.WriteLine(new Uri(url).Port);
        while (Console.In.Read() >= 0)
        {
        }
    }
}
